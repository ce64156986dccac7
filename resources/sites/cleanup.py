"""Removing at a site, one story for every cloud: find, judge, look again, remove.

What belongs here: the order of looking and removing, and the one judge of what is superseded. A cloud lists what
stands at its sites, says what uses it, and removes one thing: `superseded.py`, `sweep.py`, `undoing.py` of its folder.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.ownership import Claim, Owner, owner_of
from hyops_assets.contract.superseding import (
    Current,
    HeldImage,
    NotSettled,
    Policy,
    States,
    StateWords,
    currents,
    judge_versions,
    mentioned,
)
from hyops_assets.contract.upkeep import Finding, Verdict
from resources.error_border import said_of

Thing = TypeVar("Thing")
Judged = tuple[Thing, Finding]


class Removal(Generic[Thing]):
    """Things of one kind at one site, and the order in which any of them goes.

    Args:
        look: returns what stands there, each with a finding; reads everything afresh at each call.
        again: reads one of them once more and judges it once more; None where it is gone.
        remove: removes one that was just judged again, and returns what became of it.
        is_gone: whether a thing is gone although removing it failed.
    """

    def __init__(
        self,
        look: Callable[[], Sequence[Judged[Thing]]],
        again: Callable[[Thing, Finding], Judged[Thing] | None],
        remove: Callable[[Thing, Finding], Finding],
        is_gone: Callable[[Thing], bool] = lambda thing: False,
    ) -> None:
        self._look = look
        self._again = again
        self._remove = remove
        self._is_gone = is_gone

    def find(self) -> list[Finding]:
        """Return a finding for everything that concerns us. Nothing is changed."""
        return [finding for _, finding in self._look()]

    def reap(self) -> list[Finding]:
        """Remove what may go, and return what became of each. One that cannot be removed stops no other."""
        return [self._reaped(thing, finding) for thing, finding in self._look()]

    def _reaped(self, thing: Thing, finding: Finding) -> Finding:
        if finding.verdict != "remove":
            return finding
        try:
            now = self._again(thing, finding)
            if now is None:
                return finding.turned("removed", "gone meanwhile")
            return now[1] if now[1].verdict != "remove" else self._remove(*now)
        except HyopsError as error:
            if self._is_gone(thing):
                return finding.turned("removed", "gone meanwhile")
            return finding.turned("failed", f"{finding.why}; {said_of(error)}")


@dataclass(frozen=True)
class CleanupContext:
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
        held: Sequence[HeldImage],
        states: States,
        cloud: StateWords,
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


@dataclass(frozen=True)
class SiteObject(Generic[Thing]):
    """Something at a site that may be what a seed left, or what a state names.

    Attributes:
        thing: as the cloud's client returned it.
        ref: its id there.
        what: kind, name and id, for people.
        names: what a state would call it by.
        claim: what it says about whose it is; None where it does not say it whole.
        by_hand: the command by which a person removes it.
        held: what is ready and counts as a version; None where it is not ready.
        beyond: the verdict on what is no image of a seed at all.
        unfit: the verdict on one of ours that is not whole, or held by something else than its use.
        protected: why it stays although it is superseded.
        ours: whether it says, or half says, that a seed left it; else nothing is decided about it.
    """

    thing: Thing
    ref: str
    what: str
    names: tuple[str, ...]
    claim: Claim | None
    by_hand: str
    held: HeldImage | None = None
    beyond: tuple[Verdict, str] | None = None
    unfit: tuple[Verdict, str] | None = None
    protected: str | None = None
    ours: bool = True


class Stock(Protocol[Thing]):
    """What seeds left at one site: a cloud's part in the story of what is superseded."""

    words: StateWords
    noun: str

    def list(self) -> Sequence[SiteObject[Thing]]:
        """Read everything that concerns us, afresh."""
        ...

    def used_by(self, found: Sequence[SiteObject[Thing]]) -> Mapping[str, str]:
        """Read what uses any of it now, as a phrase by id."""
        ...

    def problem(self, entry: Current, found: Sequence[SiteObject[Thing]]) -> str | None:
        """Return why what a state names does not stand here whole, as a phrase; None where it does."""
        ...

    def spent(self, ours: Sequence[SiteObject[Thing]]) -> Mapping[str, str]:
        """Return what of ours has served its purpose, whatever its version, by id, and why."""
        ...

    def remove(
        self, thing: Thing, finding: Finding, again: Callable[[], Finding], forget: Callable[[str], object]
    ) -> Finding:
        """Remove one thing, and return what became of it.

        Args:
            thing: as it was just read.
            finding: that says that it may go.
            again: judges it once more, for a removal in two steps: where it may not go by now, the first is undone.
            forget: called with its version, where that is no longer expected here.
        """
        ...


def judge(
    one: SiteObject[Thing],
    owner: Owner | None,
    *,
    mentions: Mapping[str, str],
    used: Mapping[str, str],
    versions: Mapping[str, tuple[Verdict, str]],
) -> tuple[Verdict, str]:
    """Decide about one thing at a site, and say why. The first reason that it stays counts.

    Args:
        one: the thing.
        owner: whose it is; None where it does not say it whole.
        mentions: what any state says, and which.
        used: what uses a thing, by its id.
        versions: what was decided by version, by id, of what is ours.
    """
    if owner is not None and owner.whose == "another's":
        return "keep", owner.why
    if one.beyond is not None:
        return one.beyond
    for name in one.names:
        if name in mentions:
            return "keep", f"{mentions[name]} names it"
    if one.ref in used:
        return "keep", used[one.ref]
    if owner is None or not owner.ours:
        why = owner.why if owner is not None else "it does not say whose it is"
        return "by hand", f"{why}: if nothing needs it, {one.by_hand}"
    if one.unfit is not None:
        return one.unfit
    # What is ours and fit was decided about; were it forgotten, it would stay.
    verdict, why = versions.get(one.ref, ("unknown", "nothing was decided about it"))
    return ("keep", one.protected) if verdict == "remove" and one.protected else (verdict, why)


def superseded(stock: Stock[Thing], ground: CleanupContext) -> Removal[SiteObject[Thing]]:
    """Return the removal of what is superseded at a site: each looked at again by its id, with all around it."""

    def look() -> list[Judged[SiteObject[Thing]]]:
        return _look(stock, ground)

    def again(one: SiteObject[Thing], _finding: Finding) -> Judged[SiteObject[Thing]] | None:
        return next((entry for entry in look() if entry[0].ref == one.ref), None)

    def remove(one: SiteObject[Thing], finding: Finding) -> Finding:
        def judged_again() -> Finding:
            now = again(one, finding)
            return finding if now is None else now[1]

        return stock.remove(one.thing, finding, judged_again, ground.forget)

    return Removal(look, again, remove)


def _look(stock: Stock[Thing], ground: CleanupContext) -> list[Judged[SiteObject[Thing]]]:
    found, states = stock.list(), ground.states()
    owners = {one.ref: ground.owner_of(one.claim, one.ref) for one in found if one.claim is not None}
    ours = [one for one in found if one.held is not None and owners[one.ref].ours]

    def confirm(current: Sequence[Current]) -> None:
        for entry in current:
            if (problem := stock.problem(entry, found)) is not None:
                raise NotSettled(
                    f"{entry.state} names {stock.noun} {entry.ref}, {problem}", hint="seed the current version again"
                )

    held = [one.held for one in ours if one.held is not None]
    versions = ground.judge(held, states, stock.words, confirm, spent=stock.spent(ours))
    used, mentions = stock.used_by(found), mentioned(states)
    return [
        (
            one,
            Finding(
                one.what,
                ground.where,
                *judge(one, owners.get(one.ref), mentions=mentions, used=used, versions=versions),
            ),
        )
        for one in found
        if one.ours
    ]
