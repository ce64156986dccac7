"""Look into a raw disk before anything is published: is it the image that its record promises?

Every question has a name, and an answer of its own. Questions about files are asked of the *effective* files, the
overlay over the squashfs, as the guest will see them. Nothing is mounted, nothing is changed, no root is needed.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.disk.gpt import BadPartitionTable
from hyops_assets.image.inspection import boot, credentials, guest
from hyops_assets.image.inspection.files import MissingFile, UnreadableFileSystem
from hyops_assets.image.inspection.view import Expected, Fault, View
from hyops_assets.image.programs import ProgramFailed
from hyops_assets.image.squashfs import BadSquashfs, MissingMember

__all__ = ["QUESTIONS", "Expected", "Finding", "inspect"]

Check = Callable[[View], str]
"""Answers a question: returns what was found, raises `Fault` or a reader's error where it is wrong."""

_WRONG = (Fault, BadPartitionTable, MissingFile, UnreadableFileSystem, ProgramFailed, BadSquashfs, MissingMember)
_CHECKS: Mapping[str, Check] = {
    **boot.CHECKS,
    **guest.CHECKS,
    **credentials.CHECKS,
}

QUESTIONS: Mapping[str, str] = {name: " ".join((check.__doc__ or "").split()) for name, check in _CHECKS.items()}
"""Every question by the name of its finding: what is made sure of, as a sentence."""


@dataclass(frozen=True)
class Finding:
    """The answer to one question. `detail` says what was found; it holds no secret."""

    name: str
    passed: bool
    detail: str


def inspect(disk: Path, expected: Expected, scratch: Path, *, progress: Progress = silent) -> list[Finding]:
    """Ask every question of a raw disk.

    Args:
        disk: the raw disk; a qcow2 is converted before.
        expected: what its record promises.
        scratch: takes a copy of the squashfs while it is looked at; nothing is left there.
        progress: told how many questions are answered.

    Returns:
        One finding per question, in the order of `QUESTIONS`, whether or not an earlier one passed.

    Raises:
        MissingProgram: a host program that looks into the disk is not installed.
    """
    findings = []
    with tempfile.TemporaryDirectory(dir=scratch, prefix="inspection.") as own:
        view = View(disk, expected, Path(own))
        for done, (name, check) in enumerate(_CHECKS.items()):
            progress("inspect", done, len(_CHECKS))
            findings.append(_answer(name, check, view))
    progress("inspect", len(_CHECKS), len(_CHECKS))
    return findings


def _answer(name: str, check: Check, view: View) -> Finding:
    try:
        return Finding(name, passed=True, detail=check(view))
    except _WRONG as error:
        return Finding(name, passed=False, detail=error.message)
