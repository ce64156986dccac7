"""What is superseded at a site: decided from states, versions and policy. Pure; what machines use is another matter.

The source document's rule ("Cleanup after failed build attempts"): nothing is deleted before it is confirmed that the
active state points at the current image or template. Where that cannot be confirmed, nothing is superseded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.references import (
    HETZNER_EDGES,
    IMAGE_REGISTER,
    IMAGE_SEED,
    ONPREM_EDGE,
    TEMPLATE_IMPORT,
    TEMPLATE_SEED,
    StateRef,
)
from hyops_assets.contract.state import ModuleState
from hyops_assets.contract.upkeep import Verdict
from hyops_assets.contract.version import BadVersion, RecordVersion, release_order

States = Sequence[tuple[StateRef, ModuleState]]
"""Every state of an environment. One that cannot be read might name anything, so none may be missing here."""

_OVER = frozenset({"ok", "destroyed", "detached"})
_EARLIEST = (datetime.min.replace(tzinfo=UTC), 0)


@dataclass(frozen=True)
class StateWords:
    """How states speak of what one cloud holds: the modules that name it, those that use it, and the words."""

    naming: tuple[str, ...]
    using: tuple[str, ...]
    ref: str
    key: str
    version: str


IMAGES = StateWords((IMAGE_SEED, IMAGE_REGISTER), (HETZNER_EDGES,), "image_ref", "image_key", "image_version")
TEMPLATES = StateWords(
    (TEMPLATE_SEED, TEMPLATE_IMPORT), (ONPREM_EDGE,), "template_vm_id", "template_key", "template_image_version"
)


@dataclass(frozen=True)
class Current:
    """What a site's active state names as the image or template of a key."""

    state: str
    key: str
    version: str
    ref: str


@dataclass(frozen=True)
class HeldImage:
    """An image or template of ours at a site, complete and ready.

    Attributes:
        ref: its id there.
        made_at: None where it does not say.
    """

    ref: str
    key: str
    version: str
    made_at: datetime | None


@dataclass(frozen=True)
class Policy:
    """What is kept besides what is needed: so many superseded versions per key and site, and whatever is young."""

    keep: int
    keep_days: int


class NotSettled(Refused):
    """It cannot be confirmed which image or template is current. Nothing was changed."""


def mentioned(states: States) -> Mapping[str, str]:
    """Return every text and number in the outputs of any state, whatever its status, and which state says it.

    Rather too much than too little: whatever a state mentions is not removed.
    """
    return {text: str(ref) for ref, state in states for text in _texts(state.outputs)}


def currents(states: States, cloud: StateWords, instance: str | None) -> list[Current]:
    """Return what the active states of a site name.

    Args:
        states: all of the environment.
        cloud: `IMAGES` or `TEMPLATES`.
        instance: of the site's states; None is `latest.json`.

    Raises:
        NotSettled: the site has no such state, or one that matters is not `ok`: a run is at work or failed.
    """
    unsettled = [
        f"{ref} is {state.status}"
        for ref, state in states
        if ref.module in (*cloud.naming, *cloud.using) and state.status not in _OVER
    ]
    if unsettled:
        raise NotSettled(
            f"not every state is settled: {', '.join(unsettled)}", hint="wait for its run, or apply the module again"
        )
    active = [
        (ref, state)
        for ref, state in states
        if ref.module in cloud.naming and ref.instance == instance and state.status == "ok"
    ]
    if not active:
        wanted = StateRef(cloud.naming[0], instance)
        raise NotSettled(f"the state {wanted} is missing", hint=f"apply {wanted.module} for this site first")
    return [_current(ref, state, cloud) for ref, state in active]


def judge_versions(
    held: Sequence[HeldImage], current: Sequence[Current], policy: Policy, *, now: datetime
) -> dict[str, tuple[Verdict, str]]:
    """Decide about everything that a site holds, by id: superseded or not, and why.

    Only what is older than the current one of its key is superseded: a newer one is a canary's, or was seeded on
    purpose. Of the superseded ones the newest `policy.keep` per key stay.
    """
    decided: dict[str, tuple[Verdict, str]] = {}
    spared: dict[str, int] = {}
    newest_first = sorted(held, key=_by_age, reverse=True)
    for one in newest_first:
        named = [entry for entry in current if entry.key == one.key]
        decided[one.ref] = _judged(one, named, spared, policy, now)
    return decided


def _judged(
    one: HeldImage, named: list[Current], spared: dict[str, int], policy: Policy, now: datetime
) -> tuple[Verdict, str]:
    by_ref = [entry for entry in named if entry.ref == one.ref]
    if by_ref:
        return "keep", f"current: {by_ref[0].state} names it"
    if not named:
        return "keep", f"no state says which version of {one.key} is current here"
    own, others = _parsed(one.version), [_parsed(entry.version) for entry in named]
    known = [version for version in others if version is not None]
    if own is None or len(known) < len(others):
        return "keep", f"{one.version} and what the states name cannot be compared"
    oldest = min(known)
    if own >= oldest:
        return "keep", f"not older than the current version {oldest}"
    if spared.get(one.key, 0) < policy.keep:
        spared[one.key] = spared.get(one.key, 0) + 1
        return "keep", f"one of the newest {policy.keep} that are superseded (upkeep.keep)"
    if policy.keep_days and (one.made_at is None or now - one.made_at < timedelta(days=policy.keep_days)):
        return "keep", f"not older than {policy.keep_days} days (upkeep.keep_days)"
    return "remove", f"superseded by {oldest}"


def _current(ref: StateRef, state: ModuleState, cloud: StateWords) -> Current:
    found = {name: state.outputs.get(name) for name in (cloud.key, cloud.version, cloud.ref)}
    if any(value in (None, "") or not isinstance(value, str | int) for value in found.values()):
        raise NotSettled(
            f"{ref} does not say which {cloud.ref} of which {cloud.version} is current",
            hint=f"apply {ref.module} for this site again",
        )
    return Current(str(ref), str(found[cloud.key]), str(found[cloud.version]), str(found[cloud.ref]))


def _parsed(version: str) -> RecordVersion | None:
    """Return a version that has an order among the others; None for a text that is none of ours."""
    try:
        return RecordVersion.parse(version)
    except BadVersion:
        return None


def _by_age(one: HeldImage) -> tuple[tuple[datetime, int], int, str]:
    """Return what sorts images from old to new; one whose version is none of ours counts as the oldest."""
    version = _parsed(one.version)
    return (release_order(version.release), version.revision, one.ref) if version else (_EARLIEST, 0, one.ref)


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        yield str(value)
