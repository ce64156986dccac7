"""What is superseded: only what is older than what the active state names, and is not kept by policy."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.references import (
    HETZNER_EDGES,
    IMAGE_BUILD,
    IMAGE_REGISTER,
    IMAGE_SEED,
    TEMPLATE_SEED,
    StateRef,
)
from hyops_assets.contract.state import ModuleState, Outputs, Status
from hyops_assets.contract.superseding import (
    IMAGES,
    TEMPLATES,
    Current,
    HeldImage,
    NotSettled,
    Policy,
    currents,
    judge_versions,
    mentioned,
)

KEY = "vyos-1.5"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
OLD = NOW - timedelta(days=90)
VERSIONS = [f"2026.03.{day:02d}-0027-rolling" for day in range(1, 10)]
NONE_KEPT = Policy(keep=0, keep_days=0)


def state(
    module: str, instance: str | None = None, status: Status = "ok", **outputs: object
) -> tuple[StateRef, ModuleState]:
    given_outputs: Outputs = dict(outputs)  # type: ignore[arg-type]
    return StateRef(module, instance), ModuleState(
        module_ref=module, run_id="run", status=status, updated_at=NOW, outputs=given_outputs
    )


def seeded(version: str = VERSIONS[5], ref: str = "6", **changes: object) -> tuple[StateRef, ModuleState]:
    outputs = {"image_ref": ref, "image_key": KEY, "image_version": version, **changes}
    return state(IMAGE_SEED, **outputs)  # type: ignore[arg-type]


def held(*versions: str, key: str = KEY, made_at: datetime | None = OLD) -> list[HeldImage]:
    return [HeldImage(str(VERSIONS.index(version) + 1), key, version, made_at) for version in versions]


def removed(found: list[HeldImage], current: list[Current], policy: Policy = NONE_KEPT) -> list[str]:
    decided = judge_versions(found, current, policy, now=NOW)
    return [one.version for one in found if decided[one.ref][0] == "remove"]


CURRENT = [Current("state", KEY, VERSIONS[5], "6")]


def test_what_is_older_than_the_current_one_is_superseded() -> None:
    assert removed(held(*VERSIONS), CURRENT) == VERSIONS[:5]


def test_a_newer_one_is_not_it_may_be_a_canary() -> None:
    assert removed(held(VERSIONS[8]), CURRENT) == []


def test_another_image_of_the_current_version_is_not() -> None:
    twin = HeldImage("99", KEY, VERSIONS[5], OLD)
    decided = judge_versions([*held(VERSIONS[5]), twin], CURRENT, NONE_KEPT, now=NOW)
    assert {verdict for verdict, _ in decided.values()} == {"keep"}


def test_a_key_that_no_state_names_is_left_alone() -> None:
    assert removed(held(*VERSIONS[:3], key="vyos-1.5-stream"), CURRENT) == []


def test_revisions_are_ordered_by_number_not_by_text() -> None:
    release = VERSIONS[0]
    found = [HeldImage(str(n), KEY, release if n == 1 else f"{release}-r{n}", OLD) for n in (1, 2, 9, 10)]
    current = [Current("state", KEY, f"{release}-r10", "10")]
    assert removed(found, current, Policy(keep=1, keep_days=0)) == [release, f"{release}-r2"]


def test_corrections_of_a_month_are_ordered_by_number_not_by_text() -> None:
    found = [HeldImage(str(n), KEY, f"2026.03.{n}", OLD) for n in (1, 2, 9, 10, 11)]
    current = [Current("state", KEY, "2026.03.11", "11")]
    assert removed(found, current, Policy(keep=1, keep_days=0)) == ["2026.03.1", "2026.03.2", "2026.03.9"]
    assert removed(found, [Current("state", KEY, "2026.03.9", "9")]) == ["2026.03.1", "2026.03.2"]


def test_the_newest_superseded_ones_stay_per_key() -> None:
    assert removed(held(*VERSIONS), CURRENT, Policy(keep=2, keep_days=0)) == VERSIONS[:3]


def test_the_current_one_and_newer_ones_do_not_count_against_what_is_kept() -> None:
    assert removed(held(VERSIONS[8], VERSIONS[5], VERSIONS[0]), CURRENT, Policy(keep=1, keep_days=0)) == []


@pytest.mark.parametrize("made_at", [None, NOW - timedelta(days=6)])
def test_what_is_young_or_does_not_say_how_old_it_is_stays(made_at: datetime | None) -> None:
    assert removed(held(VERSIONS[0], made_at=made_at), CURRENT, Policy(keep=0, keep_days=7)) == []


def test_two_states_that_name_a_key_keep_what_lies_between_them() -> None:
    current = [*CURRENT, Current("other", KEY, VERSIONS[2], "3")]
    assert removed(held(*VERSIONS), current) == VERSIONS[:2]


@pytest.mark.parametrize("version", ["", "latest", "2026.02.31-0027-rolling"])
def test_a_version_without_an_order_is_left_alone(version: str) -> None:
    assert removed([HeldImage("1", KEY, version, OLD)], CURRENT) == []
    assert removed(held(VERSIONS[0]), [Current("state", KEY, version or "x", "6")]) == []


@given(
    st.lists(st.sampled_from(VERSIONS), unique=True),
    st.sampled_from(VERSIONS),
    st.integers(0, 9),
    st.integers(0, 100),
)
def test_whatever_is_held_the_current_and_the_kept_ones_stay(
    versions: list[str], current: str, keep: int, keep_days: int
) -> None:
    gone = removed(held(*versions), [Current("s", KEY, current, "x")], Policy(keep, keep_days))
    older = [version for version in versions if version < current]
    assert set(gone) <= set(older)
    assert len(gone) == (max(0, len(older) - keep) if keep_days <= 90 else 0)
    assert not gone or max(gone) <= min([v for v in older if v not in gone], default=max(gone))


def test_the_active_state_of_the_default_site_is_latest_and_of_others_its_instance() -> None:
    states = [seeded(), state(IMAGE_SEED, "second", image_ref="9", image_key=KEY, image_version=VERSIONS[1])]
    assert currents(states, IMAGES, None) == [Current(IMAGE_SEED, KEY, VERSIONS[5], "6")]
    assert currents(states, IMAGES, "second") == [Current(f"{IMAGE_SEED}#second", KEY, VERSIONS[1], "9")]


def test_a_registered_image_is_current_too() -> None:
    registered = state(IMAGE_REGISTER, image_ref="9", image_key=KEY, image_version=VERSIONS[1])
    assert [entry.ref for entry in currents([seeded(), registered], IMAGES, None)] == ["6", "9"]


def test_a_templates_vmid_is_a_number_in_its_state() -> None:
    states = [state(TEMPLATE_SEED, template_vm_id=9200, template_key=KEY, template_image_version=VERSIONS[1])]
    assert currents(states, TEMPLATES, None)[0].ref == "9200"


def test_without_an_active_state_nothing_is_known() -> None:
    with pytest.raises(NotSettled, match="vyos-image-seed is missing"):
        currents([], IMAGES, None)
    with pytest.raises(NotSettled, match="#second is missing"):
        currents([seeded()], IMAGES, "second")


@pytest.mark.parametrize("status", ["running", "error"])
@pytest.mark.parametrize("module", [IMAGE_SEED, IMAGE_REGISTER, HETZNER_EDGES])
def test_a_state_that_is_not_settled_stops_everything_whosever_slot_it_is(module: str, status: Status) -> None:
    with pytest.raises(NotSettled, match=f"{module}#elsewhere is {status}"):
        currents([seeded(), state(module, "elsewhere", status)], IMAGES, None)


@pytest.mark.parametrize("status", ["destroyed", "detached"])
def test_a_site_whose_state_was_given_up_has_no_current_image(status: Status) -> None:
    ref, found = seeded()
    with pytest.raises(NotSettled, match="is missing"):
        currents([(ref, found.model_copy(update={"status": status}))], IMAGES, None)


def test_a_failed_build_does_not_stop_a_clouds_cleanup() -> None:
    assert currents([seeded(), state(IMAGE_BUILD, "vyos_default_build", "error")], IMAGES, None)


@pytest.mark.parametrize("missing", ["image_ref", "image_key", "image_version"])
@pytest.mark.parametrize("value", ["", None, {}])
def test_a_state_that_does_not_say_what_is_current_stops_everything(missing: str, value: object) -> None:
    with pytest.raises(NotSettled, match="does not say"):
        currents([seeded(**{missing: value})], IMAGES, None)  # type: ignore[arg-type]


def test_whatever_any_state_mentions_is_known_whatever_its_status_and_depth() -> None:
    states = [
        state(HETZNER_EDGES, "a", "error", edge={"image": 4711}),
        state(IMAGE_SEED, None, "destroyed", images={KEY: [{"image_description": "hyops-x"}]}),
        state(IMAGE_BUILD, None, "ok", lab=True, nothing=None, empty=""),
    ]
    assert mentioned(states) == {"4711": f"{HETZNER_EDGES}#a", "hyops-x": IMAGE_SEED}
