"""Hashing files: SHA-256 of all bytes, with progress."""

import hashlib
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.holes import ChangedWhileRead, extents

CHUNK_BYTES = 4 << 20
_ZEROS = memoryview(bytes(CHUNK_BYTES))


def sha256_of_file(path: Path, *, stage: str = "hash", progress: Progress = silent) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits. Holes count as the zeros they are, and are not read."""
    digest = hashlib.sha256()
    total = path.stat().st_size
    view = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        for extent in extents(file.fileno(), total):
            file.seek(extent.start)
            done = extent.start
            while done < extent.end:
                wanted = min(CHUNK_BYTES, extent.end - done)
                count = wanted if extent.hole else file.readinto(view[:wanted])
                if not count:
                    raise ChangedWhileRead(
                        f"{path.name} ends at byte {done}, {total - done} bytes before it should",
                        hint="stop what writes to it, then run again",
                    )
                digest.update(_ZEROS[:count] if extent.hole else view[:count])
                done += count
                progress(stage, done, total)
    return digest.hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes in memory, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
