"""An object repository in a directory, which a web server may serve or not.

What a creator noted of an object (digest, content type, metadata) stands beside it in `.<name>.facts.json`: written
after the object, by a process that saw that the bytes are right, and only once.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from hyops_assets.contract.canonical import Frozen, Sha256, canonical_json
from hyops_assets.contract.errors import said_by_system
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import public_url
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.space import space_needed
from resources.repository.anonymous import read_public
from resources.repository.base import (
    ObjectConflict,
    ObjectFacts,
    Published,
    ReadBack,
    RepositoryFailed,
    missing,
    name_at,
    require_object_name,
)
from resources.repository.create_only import create_only, sweep
from resources.repository.marker import MARKER, MARKER_SHA256, MARKER_TYPE, place_marker, require_marker


class _Noted(Frozen):
    """What stands in `.<name>.facts.json`."""

    sha256: Sha256
    content_type: str
    metadata: dict[str, str]


class DirectoryRepository:
    """Immutable objects as files of mode 0644 below one directory.

    Args:
        directory: where the files are; appears when the first object is created.
        public_base_url: the URL that a web server serves the directory under. None: objects have file URLs.
    """

    def __init__(self, directory: Path, public_base_url: str | None = None) -> None:
        self.directory = directory.absolute()
        self.public_base_url = public_base_url

    def url(self, name: str) -> str:
        """Return the URL under which anyone reads an object of this name, there or not."""
        require_object_name(name)
        if self.public_base_url is not None:
            return public_url(self.public_base_url, name)
        return (self.directory / name).as_uri()

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
        """Publish bytes under a name that is free, or find them there. Killed at any line, no half object shows.

        Raises:
            BadObjectName: the name is none.
            DigestMismatch: the source's bytes do not have this SHA-256.
            ObjectConflict: the name is taken by other bytes.
            NoSpace: it does not fit into the repository's file system.
            RepositoryFailed: the file system refuses for another reason.
        """
        target = self._path(name)
        sent = 0
        created = False
        with _file_system_errors(f"publish {name}"):
            self._make_directories(target.parent)
            sweep(target.parent)
            if not target.exists():
                size = len(source) if isinstance(source, bytes) else source.stat().st_size
                with space_needed(target.parent, size):
                    creation = create_only(target, source, sha256=sha256, progress=progress)
                created, sent = creation.created, creation.bytes_written
            if not created:
                self._require_equal(name, target, sha256, progress)
            self._note(target, _Noted(sha256=sha256, content_type=content_type, metadata=dict(metadata)))
            size = target.stat().st_size
        return Published(self.url(name), "created" if created else "adopted", size, sent)

    def require_public(self) -> None:
        """Find out whether anyone can read what is created here. Without a web server, files are for this host.

        Raises:
            NotPublic: the web server does not serve the directory to everyone.
            MarkerNamesTaken: other bytes have every name of the object that would prove it.
            RepositoryFailed: the directory cannot be written.
        """
        if self.public_base_url is not None:
            hint = f"serve {self.directory} under {self.public_base_url} without credentials or redirects"
            name = place_marker(
                lambda name: self.create(name, MARKER, sha256=MARKER_SHA256, content_type=MARKER_TYPE, metadata={})
            )
            require_marker(self.url(name), hint=hint)

    def require_ready(self) -> None:
        """Find out whether the directory can be written, or made where it is not there yet.

        Raises:
            RepositoryFailed: it cannot.
        """
        there = self.directory.absolute()
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise RepositoryFailed(f"{there} cannot be written", hint="give this user the directory")

    def head(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object, or None where there is none.

        Raises:
            RepositoryFailed: what was noted of it cannot be read.
        """
        target = self._path(name)
        with _file_system_errors(f"look up {name}"):
            try:
                size = target.stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None
            noted = _read_noted(_facts_path(target))
        return ObjectFacts(
            name=name,
            url=self.url(name),
            size_bytes=size,
            sha256=noted.sha256 if noted else None,
            content_type=noted.content_type if noted else None,
            metadata=noted.metadata if noted else {},
        )

    def read_anonymous(self, where: str, *, progress: Progress = silent) -> ReadBack:
        """Read an object (a name or its URL) as an anonymous reader does: all bytes, no credentials, no redirect.

        Raises:
            ObjectMissing: there is none.
            Refused: the URL is not one of this repository, or answers with a redirect.
            TransientError: it could not be read now.
            Untrusted, UnexpectedAnswer: the server is not set up for anonymous readers.
        """
        name = name_at(where, self.public_base_url or self.directory.as_uri())
        if self.public_base_url is not None:
            return read_public(self.url(name), progress=progress)
        path = self._path(name)
        if not path.is_file():
            raise missing(self.url(name))
        with _file_system_errors(f"read {name}"):
            return ReadBack(sha256_of_file(path, stage="read back", progress=progress), path.stat().st_size)

    def list(self, prefix: str) -> list[str]:
        """Return the names that start with a prefix, sorted."""
        names = (
            path.relative_to(self.directory).as_posix()
            for path in self.directory.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )
        return sorted(name for name in names if name.startswith(prefix))

    def close(self) -> None:
        """Give back what is held open: nothing."""

    def _path(self, name: str) -> Path:
        return self.directory / require_object_name(name)

    def _require_equal(self, name: str, target: Path, sha256: str, progress: Progress) -> None:
        found = sha256_of_file(target, stage="compare with what is published", progress=progress)
        if found != sha256:
            raise ObjectConflict(self.url(name), found=found, expected=sha256)

    def _note(self, target: Path, noted: _Noted) -> None:
        path = _facts_path(target)
        if not path.exists():
            content = canonical_json(noted)
            create_only(path, content, sha256=hashlib.sha256(content).hexdigest())

    def _make_directories(self, directory: Path) -> None:
        """Create what is missing: the repository and below readable by all, what it stands in by its owner only."""
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            path.chmod(0o755 if path.is_relative_to(self.directory) else 0o700)


def _facts_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.facts.json")


def _read_noted(path: Path) -> _Noted | None:
    try:
        return _Noted.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RepositoryFailed(
            f"{path} is not what this repository writes: {wrong_values(error, 'it')}",
            hint="remove it; publishing again restores it",
        ) from error


@contextmanager
def _file_system_errors(purpose: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = {
            errno.EACCES: "give this user write permission on the repository's directory",
            errno.EROFS: "put the repository on a writable file system: repository.directory in config/pipeline.yml",
        }.get(error.errno or 0, "check the repository's directory and its file system")
        raise RepositoryFailed(f"could not {purpose}: {said_by_system(error)}", hint=hint) from error
