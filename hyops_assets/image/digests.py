"""Hashing files: SHA-256 of all bytes, with progress."""

import hashlib
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent

CHUNK_BYTES = 4 << 20


def sha256_of_file(path: Path, *, stage: str = "hash", progress: Progress = silent) -> str:
    """Return the SHA-256 of a file's bytes, holes included, as 64 hex digits."""
    digest = hashlib.sha256()
    total = path.stat().st_size
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        done = 0
        while count := file.readinto(buffer):
            digest.update(view[:count])
            done += count
            progress(stage, done, total)
    return digest.hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes in memory, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
