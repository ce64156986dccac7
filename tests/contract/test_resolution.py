"""What a state reference decides about inputs, and what is refused: rule 4 of the record's rules."""

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from hyops_assets.contract.consumed import UnresolvedState, require_ready, resolve_record
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.inputs import BuildInputs, ImageSeedInputs, SeedInputs, TemplateSeedInputs, read_inputs
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, OBJECT_REPO, StateRef
from hyops_assets.contract.resolution import Resolution, resolve_inputs
from hyops_assets.contract.state import ModuleState, Outputs, record_outputs
from hyops_assets.contract.urls import BadUrl
from tests.contract.samples import VERSION, contract

BUILD = StateRef(IMAGE_BUILD, "vyos_default_build")
REFERENCE = {"record_state_ref": str(BUILD)}
STALE = {
    "record_url": "https://example.org/vyos-1.5-2020.01.01-0000-rolling.qcow2",
    "record_sha256": "0" * 64,
    "record_version": "2020.01.01-0000-rolling",
    "record_format": "img",
    "source_iso_url": "https://example.org/old.iso",
    "image_source_url": "https://example.org/vyos-1.5-2020.01.01-0000-rolling.raw.xz",
}
SEEDS: list[type[SeedInputs]] = [TemplateSeedInputs, ImageSeedInputs]


def state(outputs: Mapping[str, JsonValue], status: str = "ok") -> ModuleState:
    content = {"module_ref": IMAGE_BUILD, "run_id": "r", "status": status, "updated_at": "2026-11-22T00:00:00Z"}
    return ModuleState.model_validate(content | {"outputs": outputs})


def resolved(
    model: type[SeedInputs], given: Mapping[str, Any], outputs: Outputs | None = None, status: str = "ok"
) -> Resolution:
    found = state(record_outputs(contract()) if outputs is None else outputs, status)
    return resolve_inputs(model, given, lambda ref: found if ref == BUILD else None)


@pytest.mark.parametrize("model", SEEDS)
def test_every_stale_value_of_an_earlier_run_is_overwritten_by_the_reference(model: type[SeedInputs]) -> None:
    stale, clean = resolved(model, REFERENCE | STALE), resolved(model, REFERENCE)
    assert stale.inputs == clean.inputs
    inputs = read_inputs("m", model, stale.require().inputs)
    promised = contract()
    assert inputs.record_version == VERSION
    assert inputs.record_url == inputs.image_source_url == inputs.source_url == promised.urls[model.takes]
    assert inputs.record_sha256 == promised.record.variants[model.takes].sha256
    assert inputs.record_format == model.takes
    assert inputs.source_iso_url == ""


def test_each_cloud_takes_its_own_variant_of_one_record() -> None:
    template, image = (read_inputs("m", model, resolved(model, REFERENCE).inputs) for model in SEEDS)
    assert (template.record_format, image.record_format) == ("qcow2", "raw.xz")
    assert template.record_version == image.record_version


@pytest.mark.parametrize("model", SEEDS)
def test_whatever_does_not_count_is_named_and_its_value_is_not(model: type[SeedInputs]) -> None:
    lines = resolved(model, REFERENCE | STALE).overruled
    assert {line.split()[0] for line in lines} == set(STALE)
    assert any(line.startswith(f"image_source_url is ignored: record_state_ref={BUILD} decides") for line in lines)
    assert not any(value in line for line in lines for value in STALE.values())


def test_nothing_is_said_where_nothing_else_was_given() -> None:
    assert resolved(ImageSeedInputs, REFERENCE).overruled == ()
    same = REFERENCE | {"image_source_url": contract().urls["raw.xz"]}
    assert resolved(ImageSeedInputs, same).overruled == ()


def test_a_digest_that_the_second_upstream_does_not_know_is_cleared() -> None:
    """HybridOps keeps the first upstream's digest there, for another record's bytes."""
    first = dict(resolved(TemplateSeedInputs, REFERENCE).inputs)
    assert first["record_sha256"]
    sha_less: Outputs = {
        "artifacts": {
            "vyos-1.5": {
                "artifact_url": f"https://example.org/vyos-1.5-{VERSION}-r2.qcow2",
                "artifact_version": f"{VERSION}-r2",
                "artifact_format": "qcow2",
                "artifact_sha256": "",
            }
        }
    }
    second = resolved(TemplateSeedInputs, first, sha_less)
    assert second.inputs["record_sha256"] == ""
    assert second.inputs["record_version"] == f"{VERSION}-r2"
    assert any(line.startswith("record_sha256 is ignored") for line in second.overruled)


def test_a_state_of_hybridops_own_module_is_read_by_its_own_names() -> None:
    outputs = {name: value for name, value in record_outputs(contract()).items() if name.startswith("artifact")}
    del outputs["artifact_variants"]
    del outputs["artifacts"]
    found = resolve_record(BUILD, state(outputs), "vyos-1.5", "raw.xz")
    assert (found.version, found.format, found.url) == (VERSION, "qcow2", contract().urls["qcow2"])


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ({}, r"no record 'vyos-1\.5' \(it has: none\)"),
        (
            {"records": {"vyos-1.4": {}, "vyos-1.5-stream": {}}, "record_key": "vyos-1.4"},
            r"it has: vyos-1\.4, vyos-1\.5-stream",
        ),
        ({"records": {"vyos-1.5": {"record_version": VERSION}}}, "names no url"),
        ({"records": {"vyos-1.5": {"record_url": "https://h/x"}}}, "names no version"),
        ({"records": {"vyos-1.5": {"record_version": VERSION, "record_url": ["https://h/x"]}}}, "names no url"),
        ({"records": ["vyos-1.5"]}, "it has: none"),
    ],
)
def test_a_state_without_the_record_is_refused_with_what_it_has(outputs: Outputs, why: str) -> None:
    found = resolved(ImageSeedInputs, REFERENCE, outputs)
    with pytest.raises(UnresolvedState, match=why) as refusal:
        found.require()
    assert refusal.value.hint
    # Stale values do not come back to life because the reference leads nowhere.
    assert resolved(ImageSeedInputs, REFERENCE | STALE, outputs).inputs["image_source_url"] == ""


@pytest.mark.parametrize("status", ["running", "destroyed", "detached"])
def test_only_a_state_that_a_run_ended_is_consumed(status: str) -> None:
    with pytest.raises(UnresolvedState, match=rf"is not ready \(status={status}\)"):
        resolved(ImageSeedInputs, REFERENCE, status=status).require()
    with pytest.raises(UnresolvedState, match="has no state"):
        require_ready(BUILD, None)
    with pytest.raises(UnresolvedState, match=r"is not ready \(status=error\)"):
        require_ready(BUILD, state({}, "error"))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"gs://bucket/vyos-1.5-{VERSION}.raw.xz", "gs://"),
        ("https://example.org/vyos-1.5-latest.raw.xz", "moves"),
        ("https://example.org/vyos-1.5.raw.xz", "lacks the version"),
        (f"https://example.org/vyos-1.5-{VERSION}-r2.raw.xz", "lacks the version"),
        (f"https://example.org/vyos-1.5-{VERSION}.raw.xz?X-Goog-Signature=f00d", "signed"),
        (f"https://[/vyos-1.5-{VERSION}.raw.xz", "written wrongly"),
    ],
)
def test_a_state_that_names_a_url_which_may_not_stand_in_a_contract_is_refused(url: str, why: str) -> None:
    entry: Outputs = {"record_version": VERSION, "record_variants": {"raw.xz": {"url": url}}}
    with pytest.raises(BadUrl, match=why) as refusal:
        resolved(ImageSeedInputs, REFERENCE, {"records": {"vyos-1.5": entry}})
    assert "f00d" not in str(refusal.value)


def test_an_unknown_input_is_not_swallowed_by_a_reference() -> None:
    with pytest.raises(Exception, match="no_such_input"):
        read_inputs(IMAGE_SEED, ImageSeedInputs, resolved(ImageSeedInputs, REFERENCE | {"no_such_input": 1}).inputs)


@given(
    st.dictionaries(
        st.sampled_from([*STALE, "record_key", "artifact_url", "artifact_key"]), st.text(max_size=20) | st.none()
    )
)
def test_no_value_survives_that_the_reference_decides(given_: dict[str, str | None]) -> None:
    try:
        found = resolved(ImageSeedInputs, {**given_, **REFERENCE, "record_key": "vyos-1.5", "artifact_key": ""})
    except Exception as error:  # noqa: BLE001 - any other type than this one fails the test
        assert "set to different values" in str(error)  # noqa: PT017
        return
    decided = resolved(ImageSeedInputs, REFERENCE).inputs
    assert {name: found.inputs[name] for name in decided if name != "record_key"} == {
        name: decided[name] for name in decided if name != "record_key"
    }


def repository(*there: tuple[str | None, str]) -> Resolution:
    """What `repo_state_ref: org/gcp/object-repo` means where its module has these instances with these statuses."""
    states = {StateRef(OBJECT_REPO, instance): state({}, status) for instance, status in there}
    given = {"repo_state_ref": OBJECT_REPO}
    return resolve_inputs(BuildInputs, given, states.get, lambda: list(states.items()))


@pytest.mark.parametrize("others", [(), (("old", "destroyed"), ("new", "running"))])
@pytest.mark.parametrize("instance", [None, "vyos_records"])
def test_a_repository_without_an_instance_is_the_only_one_that_is_ready(
    instance: str | None, others: tuple[tuple[str, str], ...]
) -> None:
    found = repository((instance, "ok"), *others).require()
    assert found.inputs["repo_state_ref"] == str(StateRef(OBJECT_REPO, instance))
    assert found.overruled == ()


def test_a_repository_without_an_instance_is_ambiguous_where_several_are_ready() -> None:
    with pytest.raises(UnresolvedState, match=r"is ambiguous: .*#a, .*#vyos_records are ready"):
        repository(("a", "ok"), ("vyos_records", "ok")).require()


def test_a_repository_without_an_instance_is_absent_where_none_is_ready() -> None:
    with pytest.raises(UnresolvedState, match="object-repo has no state"):
        repository(("vyos_records", "error")).require()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from([VERSION, "vyos-1.5"]),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["vyos-1.5", "record_url", "artifact_version", "record_variants", "raw.xz", "url"]),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["records", "artifacts", "record_key", "artifact_key", "record_url", "record_version"]), _JSON
    )
)
def test_whatever_a_state_says_it_resolves_or_is_refused_as_a_user_can_read(outputs: dict[str, Any]) -> None:
    with contextlib.suppress(HyopsError):
        resolved(ImageSeedInputs, REFERENCE, outputs).require()
