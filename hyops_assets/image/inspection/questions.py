"""Look into a raw disk before anything is published: is it the image that its record promises?

Every question has a name, and an answer of its own. Questions about files are asked of the *effective* files, the
overlay over the squashfs, as the guest will see them. Nothing is mounted, nothing is changed, no root is needed.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.printable import printable
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.inspection import boot, credentials, digest, disk, guest
from hyops_assets.image.inspection.view import Expected, NotCompared, View
from hyops_assets.image.programs import MissingProgram

__all__ = ["QUESTIONS", "DiskFinding", "Expected", "answers", "inspect", "viewed"]

Check = Callable[[View], str]
"""Answers a question: returns what was found, raises `Fault` or a reader's error where it is wrong."""

Outcome = Literal["passed", "failed", "not compared"]
"""`not compared` stands where nothing was promised to compare with; it is no pass."""

_CHECKS: Mapping[str, Check] = {
    **disk.CHECKS,
    **boot.CHECKS,
    **guest.CHECKS,
    **credentials.CHECKS,
    # Last: the digest is being taken while the others are answered.
    **digest.CHECKS,
}

QUESTIONS: Mapping[str, str] = {name: " ".join((check.__doc__ or "").split()) for name, check in _CHECKS.items()}
"""Every question by the name of its finding: what is made sure of, as a sentence."""


@dataclass(frozen=True)
class DiskFinding:
    """The answer to one question. `detail` says what was found, printable as it is; it holds no secret."""

    name: str
    outcome: Outcome
    detail: str

    @property
    def passed(self) -> bool:
        """Whether the disk is known to be right in this."""
        return self.outcome == "passed"


def inspect(
    disk: Path, expected: Expected, scratch: Path, *, container: Path | None = None, progress: Progress = silent
) -> list[DiskFinding]:
    """Ask every question of a raw disk.

    Args:
        disk: the raw disk; what else a disk comes in is decoded before (`arrival.opened_disk`).
        expected: what its record promises.
        scratch: takes a copy of the squashfs while it is looked at; nothing is left there.
        container: the qcow2 or raw.xz that the disk was decoded from, if any.
        progress: called with how many questions are answered; cancels by raising.

    Returns:
        One finding per question, in the order of `QUESTIONS`, whether or not an earlier one passed.

    Raises:
        MissingProgram: a host program that looks into the disk is not installed.
        TransientError: the host has no room for the copy.
    """
    with viewed(disk, expected, scratch, container=container) as view:
        return answers(view, progress=progress)


@contextmanager
def viewed(disk: Path, expected: Expected, scratch: Path, *, container: Path | None = None) -> Iterator[View]:
    """Give a disk's view for as long as the block lasts; arguments as for `inspect`.

    Where the disk's digest is promised, it is taken beside everything else: on a disk of gigabytes that is the
    longest single piece of work.
    """
    with (
        tempfile.TemporaryDirectory(dir=scratch, prefix="inspection.") as own,
        ThreadPoolExecutor(1) as hashing,
    ):
        # The programs that look into a disk part its path at `?` and `@`; this name has neither.
        named = Path(own) / "disk.raw"
        named.symlink_to(disk.resolve())
        stopped = _Stop()
        # Of another size it is another disk: nothing is left to be compared.
        hashed = expected.disk is not None and expected.disk.size_bytes == disk.stat().st_size
        taken = hashing.submit(sha256_of_file, disk, progress=stopped.check) if hashed else None
        try:
            yield View(named, expected, Path(own), container=container, disk_sha256=taken.result if taken else None)
        finally:
            stopped.now = True


def answers(view: View, *, progress: Progress = silent) -> list[DiskFinding]:
    """Ask every question of a view; as `inspect` does."""
    findings: list[DiskFinding] = []
    for name, check in _CHECKS.items():
        progress("inspect", len(findings), len(_CHECKS))
        findings.append(_answer(name, check, view))
    progress("inspect", len(_CHECKS), len(_CHECKS))
    return findings


def _answer(name: str, check: Check, view: View) -> DiskFinding:
    try:
        return DiskFinding(name, "passed", printable(check(view)))
    except NotCompared as error:
        return DiskFinding(name, "not compared", error.message)
    except (MissingProgram, TransientError):
        # The host's fault, not the disk's.
        raise
    except HyopsError as error:
        return DiskFinding(name, "failed", error.message)


class _Stopped(Exception):
    """The digest is no longer waited for."""


@dataclass
class _Stop:
    """Ends the hashing of a disk when its view is closed."""

    now: bool = False

    def check(self, _stage: str, _done: int, _total: int | None) -> None:
        if self.now:
            raise _Stopped
