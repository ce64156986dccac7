"""What upkeep finds, and what becomes of it: one shape for leftovers, superseded images and local remains.

What belongs here: the words that a table of findings is made of. What decides about a thing stands beside the client
of the system that holds it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Self

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.printable import shown

Verdict = Literal["remove", "removed", "keep", "by hand", "failed", "unknown"]
"""remove: ours, unused, and it may go. removed: this run removed it. keep: it stays. by hand: it stays, and only a
person can tell or do more. failed: removing it was tried. unknown: it could not be looked at."""

IsLive = Callable[[str], bool | None]
"""Tells whether a run, by its id, is at work. None: unknown on this host, so it may be at work on another."""

Needed = Callable[[str], str | None]
"""Tells who needs a thing, by its id: a state that names it, a run at work at its site. None: it is not needed."""


@dataclass(frozen=True)
class Finding:
    """One thing, or one place that could not be looked at.

    Attributes:
        what: kind, name and id, such as `server vyos-seed-1a2b3c (4711)`.
        where: the site's name, or a directory.
        verdict: what is to become of it, or has.
        why: the reason, as a phrase; a command to run where it is `by hand`.
    """

    what: str
    where: str
    verdict: Verdict
    why: str

    def __post_init__(self) -> None:
        # Names and reasons of clouds: labels of other users are printed here.
        for name in ("what", "where", "why"):
            object.__setattr__(self, name, shown(getattr(self, name)))

    def turned(self, verdict: Verdict, why: str | None = None) -> Self:
        """Return the finding with another verdict."""
        return replace(self, verdict=verdict, why=self.why if why is None else why)


def judge_age(run_id: str, expires: int | None, *, now: float, is_live: IsLive) -> tuple[Verdict, str]:
    """Decide about something that serves a run, is ours, and is of no use once that run is over; say why.

    Args:
        run_id: the run that it says it serves.
        expires: when its time is over in any case, in epoch seconds; None where it does not say.
        now: epoch seconds.
        is_live: of that run.
    """
    live = is_live(run_id)
    if live:
        return "keep", f"run {run_id} is at work"
    if live is False:
        return "remove", f"its run {run_id} has ended"
    if expires is None:
        return "by hand", f"run {run_id} is not known here, and nothing says when its time is over"
    if expires < now:
        return "remove", f"its time was over at {_moment(expires)}"
    return "keep", f"run {run_id} is not known here, and may be at work until {_moment(expires)}"


def not_looked_at(what: str, where: str, error: HyopsError) -> Finding:
    """Return the finding that stands for all that could not be looked at: it is never the same as "nothing there"."""
    return Finding(what, where, "unknown", f"{error.message}; next: {error.hint}")


def counted(findings: Iterable[Finding]) -> str:
    """Return how many findings have which verdict, in words."""
    verdicts = [finding.verdict for finding in findings]
    order: tuple[Verdict, ...] = ("remove", "removed", "failed", "unknown", "by hand", "keep")
    words = [f"{verdicts.count(verdict)} {verdict}" for verdict in order if verdict in verdicts]
    return ", ".join(words) or "nothing found"


def _moment(epoch: int) -> str:
    try:
        return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%MZ}"
    except (ValueError, OverflowError, OSError):
        # Labels may hold any number.
        return f"second {epoch} since 1970"
