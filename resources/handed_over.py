"""The private room in which `hyops apply` leaves inputs for a run, and where the run finds them by their digest.

A run names one document, in a tag. It is believed because it was written by a process of this user on this host: an
HMAC-SHA256 stands in it, by a key that lies in the room, mode 0600, and nowhere else. Anyone who
can launch a run, which is anyone who reaches the UI, can repeat what was handed over for that very job and partition,
and nothing more.

Layout of `<root>/work/handed-over`: `key`, 64 hex digits; `<sha256>.json`, a line of canonical JSON and a line with
its MAC. The name is the digest of both lines, so it says nothing about an input that could be guessed.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
from pydantic import ValidationError

from hyops_assets.contract.canonical import canonical_json
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.handed_over import Errand, HandedOver, HandedOverDocument
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.image.space import space_needed
from resources.settings import make_private, write_private

HANDED_OVER_TAG = "hyops/handed_over"
"""The digest of what was handed over to a run."""

MAX_BYTES = 128 << 10
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PARTITION_TAG = "dagster/partition"
_RANGE_TAG = "dagster/asset_partition_range_"
_AGAIN = "apply the module again: hyops apply hands its inputs over anew"


class NotHandedOver(Refused):
    """A run names a document that `hyops apply` did not hand over to it. Nothing ran."""


class HandedOverRoom:
    """The room of one environment; it appears when something is first handed over."""

    def __init__(self, root: RuntimeRoot) -> None:
        self._root = root
        self._key = root.handed_over / "key"

    def path(self, digest: str) -> Path:
        """Return where a document lies.

        Raises:
            NotHandedOver: the digest is none, and might lead anywhere.
        """
        if not _DIGEST.fullmatch(digest):
            raise NotHandedOver(
                f"the tag {HANDED_OVER_TAG} holds {digest[:70]!r}, which is no SHA-256", hint=f"remove it, or {_AGAIN}"
            )
        return self._root.handed_over / f"{digest}.json"

    def write(self, errand: Errand, inputs: HandedOver) -> str:
        """Leave inputs for a run and return the digest that it has to name. The same ones have the same digest.

        Raises:
            NotHandedOver: the room's key is no private file of this user's.
            NoSpace: it cannot be written.
        """
        body = canonical_json(HandedOverDocument(errand=errand, inputs=inputs))
        content = body + b"\n" + self._mac(body, self._made_key()).encode() + b"\n"
        digest = hashlib.sha256(content).hexdigest()
        # Two runs may be handed over the same at the same moment: each writes under a name of its own.
        self._fresh(content).replace(self.path(digest))
        return digest

    def read(self, digest: str, errand: Errand) -> HandedOver:
        """Return what was handed over to a run.

        Raises:
            NotHandedOver: there is no such document, its bytes were changed, no key of this host authenticates it, or
                it was meant for another run.
        """
        path, body = self.path(digest), self.require_ours(digest)
        try:
            document = HandedOverDocument.model_validate_json(body)
        except ValidationError:
            # Without the cause: it holds what was handed over, and the event log would keep it.
            raise NotHandedOver(f"{path} was handed over by another version of hyops", hint=_AGAIN) from None
        if document.errand != errand:
            raise NotHandedOver(
                f"what was handed over to {document.errand.job} for {document.errand.partition} is not meant for "
                f"{errand.job} for {errand.partition or 'no single partition'}",
                hint=_AGAIN,
            )
        return document.inputs

    def require_ours(self, digest: str) -> bytes:
        """Return the document's line, as it was once handed over in this environment to whichever run.

        Raises:
            NotHandedOver: there is none, its bytes were changed, or no key of this host authenticates it.
        """
        path = self.path(digest)
        content = _private(path, MAX_BYTES)
        if hashlib.sha256(content).hexdigest() != digest:
            raise NotHandedOver(f"{path} was changed after it was handed over", hint=_AGAIN)
        body, _, rest = content.partition(b"\n")
        if not hmac.compare_digest(rest.rstrip(b"\n"), self._mac(body, self._held_key()).encode()):
            raise NotHandedOver(f"{path} was not written by this environment's hyops apply", hint=_AGAIN)
        return body

    def list_paths(self) -> list[Path]:
        """Return all that lies in the room besides its key, by name; nothing where there is no room."""
        try:
            return sorted(path for path in self._key.parent.iterdir() if path != self._key)
        except FileNotFoundError:
            return []

    def _mac(self, body: bytes, key: bytes) -> str:
        return hmac.new(key, body, hashlib.sha256).hexdigest()

    def _made_key(self) -> bytes:
        """Return the key, made if there is none. Of two processes that make one, the first counts for both."""
        make_private(self._key.parent, below=self._root.path)
        if not self._key.exists():
            fresh = self._fresh(secrets.token_hex(32).encode() + b"\n")
            try:
                os.link(fresh, self._key)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return self._held_key()

    def _fresh(self, content: bytes) -> Path:
        """Write a private file under a name that no other has."""
        path = self._key.with_name(f".new-{secrets.token_hex(8)}")
        with space_needed(path.parent, 0):
            write_private(path, content)
        return path

    def _held_key(self) -> bytes:
        key = _private(self._key, 65, owned=True)
        if not re.fullmatch(rb"[0-9a-f]{64}\n", key):
            raise NotHandedOver(f"{self._key} is no key", hint=f"remove it; then {_AGAIN}")
        return bytes.fromhex(key.decode())


def handed_over_to(root: RuntimeRoot, run: dg.DagsterRun | None) -> HandedOver:
    """Return what was handed over to a run; nothing where it names no document, and where there is no run.

    Raises:
        NotHandedOver: it names one that was not handed over to it.
    """
    digest = run.tags.get(HANDED_OVER_TAG) if run is not None else None
    if run is None or digest is None:
        return HandedOver()
    return HandedOverRoom(root).read(digest, Errand(job=run.job_name, partition=_partition(run.tags)))


def _partition(tags: Mapping[str, str]) -> str:
    """Return the one partition that a run with these tags works on; empty for a range, or none.

    Dagster goes by the tags of dimensions where there are any.
    """
    if any(tag.startswith(_RANGE_TAG) for tag in tags):
        return ""
    dimensions = {
        tag.removeprefix(f"{_PARTITION_TAG}/"): key
        for tag, key in tags.items()
        if tag.startswith(f"{_PARTITION_TAG}/")
    }
    return str(dg.MultiPartitionKey(dimensions)) if dimensions else tags.get(_PARTITION_TAG, "")


def _private(path: Path, most_bytes: int, *, owned: bool = False) -> bytes:
    """Return the bytes of a regular file; `owned` requires one that only this user can read or write.

    Raises:
        NotHandedOver: it is missing, no regular file, too large, or not private.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            wrong = not stat.S_ISREG(found.st_mode) or found.st_size > most_bytes
            if wrong or (owned and (found.st_uid != os.geteuid() or found.st_mode & 0o077)):
                raise NotHandedOver(f"{path} is no private file of this user's", hint=f"look at it; then {_AGAIN}")
            return file.read(most_bytes + 1)
    except FileNotFoundError as error:
        raise NotHandedOver(f"{path} is not here: it was removed, or never handed over", hint=_AGAIN) from error
    except OSError as error:
        raise NotHandedOver(f"{path} cannot be read: {error.strerror}", hint=f"look at it; then {_AGAIN}") from error
