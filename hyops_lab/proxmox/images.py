"""Image files: streams written, digests taken, and what qemu-img makes and says of them, beside the event loop."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

from hyops_assets.image import programs
from hyops_lab.proxmox.answers import ApiError


async def run(*argv: str | Path) -> str:
    """Run a program beside the event loop; being cancelled ends it. Returns what it printed.

    Raises:
        ApiError: it failed.
    """
    # Mortal: what a killed lab started does not write on after the next one has begun.
    with programs.running(["setpriv", "--pdeathsig", "KILL", *argv]) as process:
        while process.poll() is None:
            await asyncio.sleep(0.01)
        out, err = process.communicate()
        if process.returncode != 0:
            raise ApiError(500, f"command '{argv[0]}' failed: {err.decode(errors='replace')}")
        return out.decode()


async def image_info(path: Path) -> dict[str, object]:
    """Return what `qemu-img info` says of an image."""
    return json.loads(await run("qemu-img", "info", "--output=json", path))


async def write_stream(path: Path, chunks: AsyncIterator[bytes]) -> int:
    """Write a stream to a file and return how many bytes it had."""
    count = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
            count += len(chunk)
    return count


async def sha256_of(path: Path) -> str:
    """Return a file's SHA-256."""

    def read() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return await asyncio.to_thread(read)
