"""sha256sum.txt: what an ISO says of its own files, and whether it is so.

The format is that of sha256sum(1), written by live-build: 64 hex digits, two characters, the path.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from hyops_assets.contract.progress import Progress
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.intake.volume import BadIso

SUMS = "sha256sum.txt"
MAX_SUMS_BYTES = 8 << 20
"""A real one has some hundred lines."""

_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<path>.+)", re.ASCII | re.DOTALL)
_SHOWN = 100


def parse_sums(content: bytes) -> dict[str, str]:
    """Return the SHA-256 of every listed file by its path in the ISO, without a leading `./`.

    Raises:
        BadIso: no UTF-8 text, too long, a line of another form, a path that leaves the ISO, two sums for one file.
    """
    if len(content) > MAX_SUMS_BYTES:
        raise _bad(f"has more than {MAX_SUMS_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _bad(f"is no text: {error.reason} at byte {error.start}") from error
    sums: dict[str, str] = {}
    # Not splitlines, which takes a form feed in a file's name for a line's end.
    for line in text.removesuffix("\n").split("\n") if text else ():
        match = _LINE.fullmatch(line)
        path = PurePosixPath(match["path"]) if match else None
        if match is None or path is None or path.is_absolute() or ".." in path.parts or not path.parts:
            raise _bad(f"has the line {line[:_SHOWN]!r}")
        if sums.setdefault(str(path), match["sha256"]) != match["sha256"]:
            raise _bad(f"lists {str(path)[:_SHOWN]!r} twice, with two sums")
    return sums


def verify_sums(sums: Mapping[str, str], files: Mapping[str, Path], progress: Progress) -> None:
    """Hash every listed file.

    Args:
        sums: from `parse_sums`.
        files: the ISO's regular files by their path in it. A link is none: what it leads to is listed itself.
        progress: called with the bytes hashed of all that are listed.

    Raises:
        BadIso: names every file that is missing or differs, with both sums.
    """
    total = sum(files[name].stat().st_size for name in sums if name in files)
    before = 0
    wrong: list[str] = []
    for name, expected in sums.items():
        if name not in files:
            wrong.append(f"{name}: expected {expected}, found no such file")
            continue

        def counted(stage: str, done: int, _size: int | None, before: int = before) -> None:
            progress(stage, before + done, total)

        found = sha256_of_file(files[name], stage="verify the ISO's files", progress=counted)
        before += files[name].stat().st_size
        if found != expected:
            wrong.append(f"{name}: expected {expected}, found {found}")
    if wrong:
        raise BadIso(f"the ISO is damaged: {'; '.join(wrong)}", hint="fetch the ISO again")


def _bad(why: str) -> BadIso:
    return BadIso(f"the ISO's {SUMS} {why}", hint="fetch the ISO again, from the vendor")
