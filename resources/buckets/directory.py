"""A bucket in a directory: names are given by link(2) (docs/decisions/0001), moving objects are renamed under a lock.

What a creator notes of an object (digest, content type, metadata) stands beside it in `.<name>.facts.json`: written
after the object, by who saw that the bytes are right, and only once.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from hyops_assets.contract.canonical import Frozen, Sha256, canonical_json
from hyops_assets.contract.errors import said_by_system
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.space import space_needed
from resources.buckets.base import BucketFailed, Changed, Immutable, Noted, ObjectHead, Taken, no_object
from resources.buckets.create_only import create_only, partial_beside, sweep, sync_directory
from resources.buckets.names import require_object_name


class _Facts(Frozen):
    """What stands in `.<name>.facts.json`."""

    sha256: Sha256
    content_type: str
    metadata: dict[str, str]


class DirectoryBucket:
    """Objects as files of mode 0644 below one directory.

    Args:
        directory: where the files are; appears when the first object is created.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()

    @property
    def place(self) -> str:
        """The directory's path."""
        return str(self.directory)

    def create(self, name: str, source: Path | bytes, noted: Noted, *, progress: Progress = silent) -> int:
        """Create an immutable object under a free name, or nothing; return how many bytes were written.

        Raises:
            Taken: the name is not free.
            DigestMismatch: the source's bytes do not have the noted SHA-256.
            NoSpace: it does not fit into the file system.
            BucketFailed: the file system refuses for another reason.
        """
        target = self.path(name)
        with _file_system_errors(f"create {name}"):
            self._make_directories(target.parent)
            sweep(target.parent)
            if target.exists():
                raise Taken(str(target))
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            with space_needed(target.parent, size):
                creation = create_only(target, source, sha256=noted.sha256, progress=progress)
        if not creation.created:
            raise Taken(str(target), bytes_sent=creation.bytes_written)
        self.note(name, noted)
        return creation.bytes_written

    def note(self, name: str, noted: Noted) -> None:
        """Note what is known of an object whose bytes were seen to be right, where nothing is noted yet.

        Raises:
            BucketFailed: the file system refuses.
        """
        path = _facts_path(self.path(name))
        with _file_system_errors(f"note what {name} is"):
            if not path.exists():
                facts = _Facts(
                    sha256=noted.sha256, content_type=noted.content_type, metadata=dict(noted.metadata or {})
                )
                content = canonical_json(facts)
                create_only(path, content, sha256=hashlib.sha256(content).hexdigest())

    def replace(self, name: str, content: bytes, *, expected: str | None) -> str:
        """Write a moving object where what is expected stands; return its new tag.

        Raises:
            Changed: something else is there, or nothing.
            Immutable: it was created with its digest.
            NoSpace: it does not fit into the file system.
            BucketFailed: the file system refuses.
        """
        target = self.path(name)
        with _file_system_errors(f"write {name}"):
            self._make_directories(target.parent)
            sweep(target.parent)
            with _locked(target), space_needed(target.parent, len(content)):
                if _facts_path(target).exists():
                    raise Immutable(str(target))
                if _tag(target) != expected:
                    raise Changed(str(target))
                if expected is not None:
                    _rename_over(target, content)
                elif not create_only(target, content, sha256=sha256_of_bytes(content)).created:
                    raise Changed(str(target))
                return _tag(target) or ""

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> bytes:
        """Return an object's bytes, or those from `start` up to `stop`; fewer where it ends before.

        Raises:
            NotThere: there is none.
            BucketFailed: the file system refuses.
        """
        target = self.path(name)
        with _file_system_errors(f"read {name}"):
            try:
                with target.open("rb") as file:
                    file.seek(start)
                    return file.read() if stop is None else file.read(max(0, stop - start))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise no_object(str(target)) from error

    def head(self, name: str) -> ObjectHead | None:
        """Return what is known of an object, or None where there is none.

        Raises:
            BucketFailed: what was noted of it cannot be read.
        """
        target = self.path(name)
        with _file_system_errors(f"look up {name}"):
            try:
                found = target.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return ObjectHead(name, found.st_size, _tag_of(found), _read_facts(_facts_path(target)))

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

    def path(self, name: str) -> Path:
        """Return the file that an object of this name is.

        Raises:
            BadObjectName: the name is none.
        """
        return self.directory / require_object_name(name)

    def _make_directories(self, directory: Path) -> None:
        """Create what is missing: the bucket and below readable by all, what it stands in by its owner only."""
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            path.chmod(0o755 if path.is_relative_to(self.directory) else 0o700)


def _rename_over(target: Path, content: bytes) -> None:
    with partial_beside(target) as (path, file):
        file.write(content)
        os.fchmod(file.fileno(), 0o644)
        file.flush()
        os.fsync(file.fileno())
        path.replace(target)
    sync_directory(target.parent)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the lock of who replaces an object; the kernel gives it back when its holder dies."""
    with target.with_name(f".{target.name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tag(target: Path) -> str | None:
    try:
        return _tag_of(target.stat())
    except FileNotFoundError:
        return None


def _tag_of(found: os.stat_result) -> str:
    """Return what no other file that ever had the name shares: the former one existed when this one was made."""
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _facts_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.facts.json")


def _read_facts(path: Path) -> Noted | None:
    try:
        facts = _Facts.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise BucketFailed(
            f"{path} is not what is written here: {wrong_values(error, 'it')}",
            hint="remove it; publishing again restores it",
        ) from error
    return Noted(facts.sha256, facts.content_type, facts.metadata)


@contextmanager
def _file_system_errors(purpose: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = {
            errno.EACCES: "give this user write permission on the repository's directory",
            errno.EROFS: "put the repository on a writable file system: repository.directory in config/pipeline.yml",
        }.get(error.errno or 0, "check the repository's directory and its file system")
        raise BucketFailed(f"could not {purpose}: {said_by_system(error)}", hint=hint) from error
