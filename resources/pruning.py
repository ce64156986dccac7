"""Removing what is superseded, one after the other: each is looked at again, with everything around it, right before.

What belongs here: the order of looking and removing, the same for every cloud. What is superseded, and how a thing is
removed, stands beside the cloud's client.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Generic, TypeVar

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.ownership import Claim, Owner, owner_of
from hyops_assets.contract.superseding import (
    Cloud,
    Current,
    Held,
    NotSettled,
    Policy,
    States,
    currents,
    judge_versions,
)
from hyops_assets.contract.upkeep import Finding, Verdict
from resources.border import said_of

Thing = TypeVar("Thing")
Looked = Sequence[tuple[Thing, Finding]]


@dataclass(frozen=True)
class Ground:
    """What decides besides the site itself.

    Attributes:
        where: the site's name.
        instance: of the site's states; None is `latest.json`.
        states: reads every state of the environment, afresh at each call.
        at_work: returns the id of a live run that seeds at this site; None where there is none.
        policy: what is kept.
        clock: epoch seconds.
        forget: called with the version of what is about to be removed: that it stands there is no longer expected.
        environment: the id of the one that looks; None where it has none.
        proves: whether a run or a document of the one that looks shows that it made a thing, by claim and id.
    """

    where: str
    instance: str | None
    states: Callable[[], States]
    at_work: Callable[[], str | None]
    policy: Policy
    clock: Callable[[], float]
    forget: Callable[[str], object]
    environment: str | None
    proves: Callable[[Claim, str], bool]

    def owner_of(self, claim: Claim, ref: str) -> Owner:
        """Tell whose a thing at the site is, by what it says and by its id."""
        return owner_of(claim, self.environment, proven=self.proves(claim, ref))

    def judge(
        self,
        held: Sequence[Held],
        states: States,
        cloud: Cloud,
        confirm: Callable[[Sequence[Current]], None],
        *,
        spent: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, tuple[Verdict, str]]:
        """Decide by version, by id: nothing may go where it is not confirmed what is current.

        Args:
            held: what is ready at the site, and ours.
            states: as they were read for this look.
            cloud: `IMAGES` or `TEMPLATES`.
            confirm: raises NotSettled where what the active states name does not stand at the site, whole.
            spent: what of it served its purpose, whatever its version, by id, and why.
        """
        busy = self.at_work()
        if busy is not None:
            return {one.ref: ("keep", f"run {busy} seeds at this site") for one in held}
        try:
            current = currents(states, cloud, self.instance)
            confirm(current)
        except NotSettled as error:
            return {one.ref: ("unknown", f"{said_of(error)}; next: {error.hint}") for one in held}
        removed: dict[str, tuple[Verdict, str]] = {ref: ("remove", why) for ref, why in spent.items()}
        return judge_versions(held, current, self.policy, now=datetime.fromtimestamp(self.clock(), UTC)) | removed


class Pruning(Generic[Thing]):
    """What is superseded at one site.

    Args:
        look: returns what stands there, each with a finding; reads everything afresh at each call.
        remove: removes one thing that was just looked at, and returns what became of it.
    """

    def __init__(self, look: Callable[[], Looked[Thing]], remove: Callable[[Thing, Finding], Finding]) -> None:
        self._look = look
        self._remove = remove

    def find(self) -> list[Finding]:
        """Return a finding for everything of ours. Nothing is changed."""
        return [finding for _, finding in self._look()]

    def reap(self) -> list[Finding]:
        """Remove what is superseded, and return what became of each. One that cannot be removed stops no other."""
        return [self._reaped(finding) for _, finding in self._look()]

    def _reaped(self, finding: Finding) -> Finding:
        if finding.verdict != "remove":
            return finding
        try:
            now = [entry for entry in self._look() if entry[1].what == finding.what]
            if not now:
                return finding.turned("removed", "gone meanwhile")
            thing, again = now[0]
            return again if again.verdict != "remove" else self._remove(thing, again)
        except HyopsError as error:
            return finding.turned("failed", f"{finding.why}; {said_of(error)}")
