"""A content-addressed store in a directory.

Blobs are found by their SHA-256 and verified on every use: what lies on a disk may rot. Documents (small JSON) are
found by asset and partition and point at blobs; they are written last, so that a killed run leaves no document that
points at nothing.

Layout: `blobs/<first two digits>/<sha256>`, `documents/<asset>/<partition>.json`, `locks/`, `scratch/`, `cache/`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from hyops_assets.contract.errors import HyopsError, LeadsNowhere, TransientError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.digests import sha256_of_bytes, sha256_of_file
from resources.artifacts.scratch import scratch_below
from resources.settings import write_private

Document = TypeVar("Document", bound=BaseModel)


class MissingArtifact(LeadsNowhere):
    """The store lacks a blob or a document that a later step needs."""


class RottenArtifact(HyopsError):
    """A blob's bytes are not what its name says."""


class StoreBusy(TransientError):
    """Another run works on the same thing."""


class ArtifactStore:
    """Blobs by digest, documents by asset and partition, locks, and scratch space on the same file system."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def blob_path(self, sha256: str) -> Path:
        """Return where a blob lies or would lie; says nothing of whether it is there."""
        return self.directory / "blobs" / sha256[:2] / sha256

    def adopt(self, file: Path, *, sha256: str) -> Path:
        """Move a file whose digest was just computed into the store and return its path there.

        It takes the place of a blob of that digest: equal bytes, unless those rotted.
        """
        target = self.blob_path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as content:
            os.fsync(content.fileno())
        file.chmod(0o400)
        file.replace(target)
        return target

    def put(self, content: bytes) -> str:
        """Keep a few bytes as a blob and return their digest."""
        sha256 = sha256_of_bytes(content)
        with self.scratch("blob") as scratch:
            file = scratch / "content"
            file.write_bytes(content)
            self.adopt(file, sha256=sha256)
        return sha256

    def blob(self, sha256: str, *, progress: Progress = silent) -> Path:
        """Return the path of a blob after hashing it.

        Raises:
            MissingArtifact: it is not in the store.
            RottenArtifact: its bytes have another digest; it was taken out of the store.
        """
        path = self.blob_path(sha256)
        try:
            found = sha256_of_file(path, stage="verify the stored bytes", progress=progress)
        except FileNotFoundError as error:
            raise MissingArtifact(
                f"the artifact store lacks {sha256}", hint="materialize the upstream assets of this version again"
            ) from error
        if found != sha256:
            path.unlink(missing_ok=True)
            raise RottenArtifact(
                f"the artifact store held {found} under the name {sha256}",
                hint="check this disk, then materialize the upstream assets of this version again",
            )
        return path

    def has_blob(self, sha256: str) -> bool:
        """Tell whether a sound blob of this digest is in the store."""
        try:
            self.blob(sha256)
        except (MissingArtifact, RottenArtifact):
            return False
        return True

    def write_document(self, kind: str, name: str, document: BaseModel) -> Path:
        """Write a document; the last writer wins, readers see the old one or the new one whole.

        Raises:
            BeingWritten: another run writes the same document at this moment.
        """
        path = self._document_path(kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, document.model_dump_json(by_alias=True, indent=2).encode() + b"\n")
        return path

    def find_document(self, kind: str, name: str, model: type[Document]) -> Document | None:
        """Return a document, or None where there is none or where an older program wrote another shape."""
        path = self._document_path(kind, name)
        try:
            return model.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def read_document(self, kind: str, name: str, model: type[Document]) -> Document:
        """Return a document.

        Raises:
            MissingArtifact: there is none.
        """
        found = self.find_document(kind, name, model)
        if found is None:
            again = (
                "apply the seed's module (hyops apply), which reads it again from where it was published"
                if kind == "published_contract"
                else f"materialize {kind} for {name} first, or apply the module that makes it (hyops apply)"
            )
            raise MissingArtifact(f"{kind} has no document for {name}", hint=again)
        return found

    def list_documents(self, kind: str, names: set[str], model: type[Document]) -> list[Document]:
        """Return the documents of these names under every kind below `kind`, ordered by kind and name."""
        kinds = sorted(path.name for path in (self.directory / "documents" / kind).glob("*") if path.is_dir())
        found = (self.find_document(f"{kind}/{below}", name, model) for below in kinds for name in sorted(names))
        return [document for document in found if document is not None]

    @contextmanager
    def scratch(self, purpose: str) -> Iterator[Path]:
        """Yield an empty directory beside the blobs, removed afterwards; first sweep what killed runs left."""
        directory = self.scratch_directory
        directory.mkdir(parents=True, exist_ok=True)
        with scratch_below(directory, purpose) as mine:
            yield mine

    @property
    def scratch_directory(self) -> Path:
        """Where scratch space is made."""
        return self.directory / "scratch"

    def forget_document(self, kind: str, name: str) -> bool:
        """Remove a document; tell whether there was one. The blobs it points at stay."""
        try:
            self._document_path(kind, name).unlink()
        except FileNotFoundError:
            return False
        return True

    def list_names(self, kind: str) -> list[str]:
        """Return the names of the documents of one kind, sorted."""
        found = (self.directory / "documents" / kind).glob("*.json")
        return sorted(unquote(path.stem) for path in found)

    @property
    def cache(self) -> Path:
        """A directory for what can be fetched again: packages, partial downloads."""
        path = self.directory / "cache"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a name against every other run on this host. The kernel frees it when its holder dies.

        Raises:
            StoreBusy: another run holds it.
        """
        path = self.directory / "locks" / f"{quote(name, safe='')}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreBusy(f"another run works on {name}", hint="wait for it to end, then repeat") from error
        try:
            yield
        finally:
            lock.release()

    def _document_path(self, kind: str, name: str) -> Path:
        return self.directory / "documents" / kind / f"{quote(name, safe='')}.json"
