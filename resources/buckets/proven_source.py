"""Bytes on their way out, hashed as they go: the last of them leave only if all of them are the promised ones."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import google_crc32c

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.digests import CHUNK_BYTES
from resources.buckets.create_only import DigestMismatch


class ProvenSource:
    """A readable stream over a source, for a client that sends it in chunks.

    `read` raises DigestMismatch instead of returning the end of something else; an upload that is complete only with
    its last bytes is then never complete. Progress tells what was asked for before: the client has sent it.
    """

    def __init__(self, file: IO[bytes], size_bytes: int, *, sha256: str, origin: str, progress: Progress) -> None:
        self.size_bytes = size_bytes
        self._file = file
        self._sha256 = sha256
        self._origin = origin
        self._progress = progress
        self._digest = hashlib.sha256()
        self._hashed = 0

    @property
    def bytes_read(self) -> int:
        """How far it was read; what a second attempt reads again is counted once."""
        return self._hashed

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes.

        Raises:
            DigestMismatch: the source ends early, or is not what was promised.
        """
        start = self._file.tell()
        left = self.size_bytes - start
        wanted = left if size < 0 else min(size, left)
        self._progress("publish", start, self.size_bytes)
        chunk = self._file.read(wanted)
        if len(chunk) < wanted:
            raise self._mismatch(f"end after {start + len(chunk)} bytes, not {self.size_bytes}")
        self._digest.update(memoryview(chunk)[max(0, self._hashed - start) :])
        self._hashed = max(self._hashed, start + len(chunk))
        if self._hashed == self.size_bytes and self._digest.hexdigest() != self._sha256:
            raise self._mismatch(f"have sha256 {self._digest.hexdigest()}, not {self._sha256}")
        return chunk

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to where reading goes on; a client goes back to what was not taken."""
        return self._file.seek(offset, whence)

    def crc32c(self) -> int:
        """Read everything, and return the checksum that object stores note.

        Raises:
            DigestMismatch: the source is not what was promised.
        """
        self.seek(0)
        found = google_crc32c.value(b"")
        # One read at least: where there are no bytes, the promise is about none.
        while chunk := self.read(CHUNK_BYTES):
            found = google_crc32c.extend(found, chunk)
        return found

    def _mismatch(self, why: str) -> DigestMismatch:
        return DigestMismatch(
            f"{self._origin} {why}",
            hint="something changed the file since it was hashed: check the disk, then build it again",
        )


@contextmanager
def proven(source: Path | bytes, sha256: str, progress: Progress = silent) -> Iterator[ProvenSource]:
    """Open bytes or a file with them for as long as the block lasts.

    Raises:
        OSError: the file cannot be opened.
    """
    if isinstance(source, bytes):
        file = io.BytesIO(source)
        yield ProvenSource(file, len(source), sha256=sha256, origin="the bytes given", progress=progress)
        return
    with source.open("rb", buffering=0) as file:
        whole = io.BufferedReader(file, CHUNK_BYTES)
        size = os.fstat(file.fileno()).st_size
        yield ProvenSource(whole, size, sha256=sha256, origin=str(source), progress=progress)
