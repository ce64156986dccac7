"""Publishing by a command of the operator's, in place of the repository: `publish_command`.

It is run once for every object, the commit point last, and prints the object's final URL on standard output, nothing
else there. What it says counts once the promised bytes were read from it anonymously. Which objects it published is
noted in the environment, so that a later run adopts them: no one can ask a command what it did.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import ValidationError

from hyops_assets.contract.canonical import Frozen, Sha256
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import Url, require_contract_url
from hyops_assets.contract.version import BadVersion, RecordVersion
from hyops_assets.image.digests import sha256_of_bytes, sha256_of_file
from hyops_assets.image.operator_command import OperatorCommand, answer_of, hyops_vyos, publishing_key
from resources.artifacts.scratch import scratch_below
from resources.buckets.create_only import DigestMismatch
from resources.buckets.names import BadObjectName, require_object_name
from resources.repository.anonymous import read_public
from resources.repository.base import ObjectConflict, ObjectFacts, Published, ReadBack, missing
from resources.settings import make_private, write_private

_SHORTEST_KEY_LINE = 16


class BadAnswer(HyopsError):
    """A publish command did not do what it is for: no URL, more than one, or a URL with other bytes behind it."""


class _Noted(Frozen):
    """An object that a command published, and an anonymous reader read."""

    name: str
    url: str
    sha256: Sha256
    size_bytes: int
    content_type: str
    metadata: dict[str, str]


class CommandRepository:
    """An object repository whose objects a command creates.

    Args:
        command: run once per object.
        notes: directory of what was published by commands; appears with the first object.
        below: the runtime root, below which directories of ours are private.
        scratch: the environment's scratch directory, where what a killed run leaves is swept.
        keys: record keys that a name may begin with.
        variables: variables that are the same for every object.
    """

    def __init__(
        self,
        command: OperatorCommand,
        *,
        notes: Path,
        below: Path,
        scratch: Path,
        keys: Sequence[str],
        variables: Mapping[str, str],
    ) -> None:
        self._command = command
        self._notes = notes
        self._below = below
        self._scratch = scratch
        self._keys = sorted(keys, key=len, reverse=True)
        self._variables = variables
        self._just_read: dict[str, ReadBack] = {}

    def url(self, name: str) -> str:
        """Return where a command published an object; the bare name where none did: only the command knows."""
        noted = self._noted(require_object_name(name))
        return noted.url if noted else name

    def create(
        self,
        name: str,
        source: Path | bytes,
        *,
        sha256: str,
        content_type: str,
        metadata: Mapping[str, str],
        progress: Progress = silent,
    ) -> Published:
        """Have the command publish an object, or find the one that it published before.

        Raises:
            BadObjectName: the name is none of a record's.
            DigestMismatch: the source's bytes do not have this SHA-256.
            ObjectConflict: a command published other bytes under this name.
            BadAnswer: what it printed is no URL of this object, or an anonymous reader reads other bytes there.
            BadUrl: the URL may not stand in a contract.
            CommandNotUsable, ProgramFailed: it could not be run, or failed.
        """
        noted = self._noted(require_object_name(name))
        if noted is not None:
            if noted.sha256 != sha256:
                raise ObjectConflict(noted.url, found=noted.sha256, expected=sha256)
            self._require_public(noted.url, sha256, noted.size_bytes, progress)
            return Published(noted.url, "adopted", noted.size_bytes, 0)
        self._scratch.mkdir(parents=True, exist_ok=True)
        with scratch_below(self._scratch, "publish") as directory:
            file = directory / "object" / Path(name).name
            size = _laid_out(source, file, sha256)
            url = self._published(name, file, sha256, directory, progress)
        self._require_public(url, sha256, size, progress)
        made = _Noted(
            name=name, url=url, sha256=sha256, size_bytes=size, content_type=content_type, metadata=dict(metadata)
        )
        make_private(self._notes, below=self._below)
        write_private(self._note(name), made.model_dump_json(indent=2).encode() + b"\n")
        return Published(url, "created", size, size)

    def require_public(self) -> None:
        """Find out nothing: where a command publishes is known when it has."""

    def require_ready(self) -> None:
        """Find out nothing, for the same reason."""

    def head(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object that a command published here, or None."""
        noted = self._noted(require_object_name(name))
        if noted is None:
            return None
        return ObjectFacts(name, noted.url, noted.size_bytes, noted.sha256, noted.content_type, noted.metadata)

    def read_anonymous(self, where: str, *, progress: Progress = silent) -> ReadBack:
        """Read an object as an anonymous reader does; the read-back of its creation counts once.

        Raises:
            ObjectMissing: there is none.
            Refused: its URL answers with a redirect.
            TransientError: it could not be read now.
        """
        url = where if "://" in where else self.url(where)
        if "://" not in url:
            raise missing(where)
        return self._just_read.pop(url, None) or read_public(url, progress=progress)

    def list(self, prefix: str) -> list[str]:
        """Return the names below a prefix that commands published here, sorted."""
        names = (unquote(path.name.removesuffix(".json")) for path in self._notes.glob("*.json"))
        return sorted(name for name in names if name.startswith(prefix))

    def close(self) -> None:
        """Hold nothing open."""

    def _published(self, name: str, file: Path, sha256: str, scratch: Path, progress: Progress) -> str:
        key, version, suffix = self._parts(name)
        variables = {
            "ARTIFACT_KEY": key,
            "ARTIFACT_FORMAT": suffix,
            "ARTIFACT_VERSION": str(version),
            "ARTIFACT_LOCAL_PATH": str(file),
            "ARTIFACT_SHA256": sha256,
            "ARTIFACT_URL": "",
            "OBJECT_NAME": name,
        }
        with publishing_key(os.environ) as key_file:
            answer = answer_of(
                self._command,
                stage="publish command",
                variables={**self._variables, **hyops_vyos(variables), **key_file},
                scratch=scratch,
                hidden=_key_lines(key_file),
                progress=progress,
            )
        url = answer.strip()
        if len(url.split()) != 1 or "://" not in url:
            raise BadAnswer(
                f"the publish command printed {len(answer.splitlines())} lines for {name}, not one URL",
                hint="have it print the object's final URL on standard output, and all else on standard error",
            )
        require_contract_url(url, version)
        if not url.startswith("https://") or Url.parse(url).file_name != file.name:
            raise BadAnswer(
                f"the publish command put {name} at {url}",
                hint=f"have it publish under https, under the file's own name ({file.name})",
            )
        return url

    def _require_public(self, url: str, sha256: str, size: int, progress: Progress) -> None:
        found = read_public(url, progress=progress)
        if found != (sha256, size):
            raise BadAnswer(
                f"{url} answers {found.size_bytes} bytes (SHA-256 {found.sha256}), not {size} ({sha256})",
                hint="see what the publish command uploaded; nothing of this object counts as published",
            )
        self._just_read[url] = found

    def _parts(self, name: str) -> tuple[str, RecordVersion, str]:
        """Return key, version and suffix of a record's object."""
        stem = name.rsplit("/", 1)[-1]
        for key in self._keys:
            rest = stem.removeprefix(f"{key}-")
            if rest == stem:
                continue
            pieces = rest.split(".")
            for end in range(len(pieces) - 1, 0, -1):
                try:
                    return key, RecordVersion.parse(".".join(pieces[:end])), ".".join(pieces[end:])
                except BadVersion:
                    continue
        raise BadObjectName(f"{name!r} is no object of a record", hint="name it <key>-<version>.<suffix>")

    def _note(self, name: str) -> Path:
        return self._notes / f"{quote(name, safe='')}.json"

    def _noted(self, name: str) -> _Noted | None:
        path = self._note(name)
        try:
            return _Noted.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise BadAnswer(
                f"{path} cannot be read as what a publish command left", hint="look at it, then move it away"
            ) from error


def _laid_out(source: Path | bytes, file: Path, sha256: str) -> int:
    """Give the command a file of its own, under the object's name: what it does to it reaches no store of ours."""
    file.parent.mkdir()
    if isinstance(source, bytes):
        file.write_bytes(source)
        found = sha256_of_bytes(source)
    else:
        shutil.copyfile(source, file)
        found = sha256_of_file(file)
    if found != sha256:
        raise DigestMismatch(f"{file.name} has sha256 {found}, not {sha256}", hint="build the record again")
    return file.stat().st_size


def _key_lines(key_file: Mapping[str, str]) -> list[str]:
    """Return what of a key must not stand in a log: its private part as a whole, and line by line."""
    hidden: list[str] = []
    for path in key_file.values():
        try:
            content = Path(path).read_text()
            private = parsed_json(content).get("private_key", "")
        except (OSError, ValueError, AttributeError):
            # Not a key as Google writes it: the command may know what it is; there is nothing to look for in it.
            continue
        lines = [line for line in str(private).splitlines() if len(line) >= _SHORTEST_KEY_LINE]
        hidden += [content, json.dumps(private)[1:-1], *lines]
    return hidden
