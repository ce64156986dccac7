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
    [
        "",
        "core",
        "core/../etc",
        "/core/x",
        "core//x",
        "core/x#",
        "core/x#../y",
        "core/x#a/b",
        "Core/x",
        "core/x#a#b",
        "core/a__b",
    ],
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


def test_two_references_never_share_a_path() -> None:
    assert StateRef.parse("a/b/c").path == StateRef.parse("a.b.c").path
    with pytest.raises(BadReference):
        StateRef.parse("a/b__c")


def test_a_reference_that_no_file_system_could_hold_is_refused_without_repeating_it() -> None:
    with pytest.raises(BadReference, match="more than 128 characters") as refusal:
        StateRef.parse("a/" * 20_000 + "b")
    assert len(str(refusal.value)) < 300
    assert len(StateRef.parse("/".join(["a"] * 64)).module_id) < 255


@given(st.from_regex(r"[a-z0-9_.-]{1,6}(/[a-z0-9_.-]{1,6}){1,3}(#[A-Za-z0-9_.-]{0,70})?", fullmatch=True))
def test_what_is_written_like_a_reference_reads_back_as_it_prints(text: str) -> None:
    try:
        ref = StateRef.parse(text)
    except BadReference:
        return
    assert StateRef.parse(str(ref)) == ref
    assert all(len(part) <= 255 for part in ref.path.parts)
