"""A file while it arrives: what is there of it, where it came from, and whether that can go on.

Beside the target `x` stand `.x.partial` (bytes so far) and `.x.origin.json` (URL and validator of those bytes, or of
the finished `x`). Bytes without a matching origin are never built upon.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.progress import Progress
from hyops_assets.image.space import space_needed
from resources.entity_tags import StrongTag, strong_tag


class TooLarge(Refused):
    """The file is larger than the settings allow."""


class DestinationFailed(HyopsError):
    """The file system does not let us write."""


class Origin(Frozen):
    """Where bytes came from, and the strong validator that they had there."""

    url: str
    etag: StrongTag


class PartialFile:
    """The target of a transfer that may be broken off and taken up again, in this process or another.

    Args:
        target: the final path; it appears whole or not at all.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._bytes = target.with_name(f".{target.name}.partial")
        self._origin = target.with_name(f".{target.name}.origin.json")

    @property
    def size_bytes(self) -> int:
        """How much of the unfinished file is there."""
        try:
            return self._bytes.stat().st_size
        except FileNotFoundError:
            return 0

    def conditions(self, url: str) -> dict[str, str]:
        """Return the request headers that save the most: "if it changed", "the rest if it did not", or none."""
        origin = self.origin
        if origin is None or origin.url != url:
            return {}
        if self.target.exists():
            return {"If-None-Match": origin.etag}
        if self.size_bytes:
            return {"Range": f"bytes={self.size_bytes}-", "If-Range": origin.etag}
        return {}

    @property
    def origin(self) -> Origin | None:
        """Where the bytes that are there came from; None where that is not known."""
        try:
            return Origin.model_validate_json(self._origin.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def begin(self, url: str, etag: str | None) -> None:
        """Start from nothing. Without a strong validator (RFC 9110 §8.8.1) it cannot be taken up again later."""
        with file_system_errors(self.target):
            self.remove()
            if (strong := strong_tag(etag)) is not None:
                partial = self._origin.with_suffix(".new")
                partial.write_text(Origin(url=url, etag=strong).model_dump_json(), encoding="utf-8")
                partial.replace(self._origin)

    def append(self, chunks: Iterable[bytes], *, total: int | None, limit: int, progress: Progress) -> None:
        """Add bytes to what is there. What was added stays when the source breaks off.

        Args:
            chunks: the bytes.
            total: size of the whole file, where known.
            limit: largest size allowed, in bytes.
            progress: called with the size so far.

        Raises:
            TooLarge: there are more than `limit`; nothing is kept.
            NoSpace: the file system is full; what was written is kept.
            DestinationFailed: it refuses for another reason.
        """
        done = self.size_bytes
        if max(done, total or 0) > limit:
            raise self.refused(max(done, total or 0), limit)
        missing = (total or done) - done
        with (
            file_system_errors(self._bytes),
            space_needed(self._bytes.parent, missing),
            self._bytes.open("ab") as file,
        ):
            for chunk in chunks:
                done += len(chunk)
                if done > limit:
                    raise self.refused(done, limit)
                file.write(chunk)
                progress("download", done, total)

    def commit(self) -> Path:
        """Give the finished file its name and return that."""
        with file_system_errors(self.target):
            with self._bytes.open("rb") as file:
                os.fsync(file.fileno())
            self._bytes.replace(self.target)
        return self.target

    def remove(self) -> None:
        """Remove everything. The origin goes last: it may never describe bytes that are not its own."""
        for path in (self.target, self._bytes, self._origin):
            path.unlink(missing_ok=True)

    def refused(self, size: int, limit: int) -> TooLarge:
        """Remove everything, and return the error that says why: it has this size, or more."""
        self.remove()
        return TooLarge(
            f"{self.target.name} has {size} bytes or more, allowed are {limit}",
            hint="if that is its true size, raise feed.max_iso_bytes in config/pipeline.yml",
        )


@contextmanager
def file_system_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about a file that is written into `DestinationFailed`."""
    try:
        yield
    except OSError as error:
        raise DestinationFailed(
            f"cannot write {path.name} in {path.parent}: {error.strerror}", hint="check that this user may write there"
        ) from error
