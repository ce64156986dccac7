import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.references import BadReference, StateRef


def test_the_documents_build_state_lies_where_its_jq_line_reads() -> None:
    ref = StateRef.parse("core/shared/vyos-image-build#vyos_default_build")
    assert str(ref.path) == "core__shared__vyos-image-build/instances/vyos_default_build.json"


def test_a_reference_without_an_instance_is_the_latest_state() -> None:
    assert str(StateRef.parse("core/hetzner/vyos-image-seed").path) == "core__hetzner__vyos-image-seed/latest.json"


def test_dots_separate_components_before_the_hash_only() -> None:
    assert StateRef.parse("core.shared.vyos-image-build#a.b") == StateRef("core/shared/vyos-image-build", "a.b")


def test_instances_are_lower_cased() -> None:
    assert StateRef.parse("org/gcp/object-repo#VyOS_Records").instance == "vyos_records"


@pytest.mark.parametrize(
    "text",
    ["", "core", "core/../etc", "/core/x", "core//x", "core/x#", "core/x#../y", "core/x#a/b", "Core/x", "core/x#a#b"],
)
def test_what_leaves_the_states_directory_is_refused(text: str) -> None:
    with pytest.raises(BadReference):
        StateRef.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_below_the_states_or_refused(text: str) -> None:
    try:
        path = StateRef.parse(text).path
    except BadReference:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
