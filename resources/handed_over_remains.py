"""Documents that `hyops apply` left for runs that have ended: no run needs them, and they hold commands and paths.

What belongs here: which of them may go. A document is ours where this environment's key authenticates it; one that a
run at work names stays, and so does a young one, whose run may be about to start.
"""

import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from hyops_assets.contract.upkeep import Finding, Needed
from resources.handed_over import HandedOverRoom, NotHandedOver

KEPT_SECONDS = 86400.0
"""Since a document was last handed over. Until then its run, once failed, can be executed again from the UI."""
_DOCUMENT = re.compile(r"([0-9a-f]{64})\.json")
_HALF_WRITTEN = re.compile(r"\.new-[0-9a-f]{16}")


class HandedOverRemains:
    """One look at the private room of an environment.

    Args:
        room: where the documents lie.
        user_of: returns the id of a run at work that names a document, by its digest; None where there is none.
        clock: epoch seconds.
    """

    def __init__(self, room: HandedOverRoom, *, user_of: Needed, clock: Callable[[], float]) -> None:
        self._room = room
        self._user_of = user_of
        self._clock = clock

    def find(self) -> list[Finding]:
        """Return what lies there, and whether it may go. Nothing is changed."""
        return [finding for _, finding in self._look()]

    def reap(self) -> list[Finding]:
        """Remove what no run needs, each looked at right before, and return what became of it."""
        return [self._reaped(path, finding) for path, finding in self._look()]

    def _look(self) -> Iterator[tuple[Path, Finding]]:
        for path in self._room.list_paths():
            # What ends meanwhile, or is removed by another cleanup, is no finding.
            if (judged := self._judge(path)) is not None:
                yield path, judged

    def _reaped(self, path: Path, finding: Finding) -> Finding:
        if finding.verdict != "remove":
            return finding
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            return finding.turned("failed", f"{finding.why}; {error.strerror}")
        return finding.turned("removed")

    def _judge(self, path: Path) -> Finding | None:
        what, where = f"handed over {path.name}", str(path.parent)
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        named = _DOCUMENT.fullmatch(path.name)
        if not stat.S_ISREG(found.st_mode) or not (named or _HALF_WRITTEN.fullmatch(path.name)):
            return Finding(what, where, "by hand", "nothing of hyops makes that")
        if self._clock() - found.st_mtime < KEPT_SECONDS:
            return Finding(what, where, "keep", f"it was handed over less than {KEPT_SECONDS / 3600:.0f} hours ago")
        if named is None:
            return Finding(what, where, "remove", "a killed hyops apply did not finish it")
        try:
            self._room.require_ours(named[1])
        except NotHandedOver as error:
            return Finding(what, where, "by hand", error.message)
        user = self._user_of(named[1])
        if user is not None:
            return Finding(what, where, "keep", f"run {user} is at work with it")
        return Finding(what, where, "remove", "every run that it was handed over to has ended")
