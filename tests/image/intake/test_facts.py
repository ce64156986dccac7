import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.image.intake.facts import MAX_FACTS_BYTES, IsoFacts, installed_version, parse_facts
from hyops_assets.image.intake.volume import BadIso
from hyops_lab.iso_layout import version_json

RELEASE = "2026.03.03-0027-rolling"
LEAST = {"version": RELEASE, "flavor": "generic", "architecture": "amd64"}


def test_a_version_json_tells_release_and_build_time() -> None:
    facts = parse_facts(version_json(RELEASE), "version.json")
    assert (facts.version, facts.flavor, facts.architecture) == (RELEASE, "generic", "amd64")
    assert facts.built_at == datetime(2026, 3, 3, 0, 27, tzinfo=UTC)


def test_keys_of_tomorrow_are_passed_over_and_those_of_yesterday_may_be_absent() -> None:
    assert parse_facts(json.dumps({**LEAST, "new": {"deep": [1]}}).encode(), "x").build_git == ""


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param(b"", "EOF", id="empty"),
        pytest.param(b"\xff\xfe", "expected value", id="no UTF-8"),
        pytest.param(b"[" * 60_000, "recursion limit", id="bottomless"),
        pytest.param(b" " * (MAX_FACTS_BYTES + 1), "more than", id="endless"),
        pytest.param(b"[]", "it: ", id="a list"),
        pytest.param(b"1" * 5000, "it: ", id="a number that Python does not read"),
        pytest.param(json.dumps({**LEAST, "flavor": None}).encode(), "flavor: has to be a text", id="null"),
        pytest.param(json.dumps({**LEAST, "version": 1.5}).encode(), "version: ", id="a number"),
        pytest.param(b'{"version": "\\ud800", "flavor": "", "architecture": ""}', "hex escape", id="a lone surrogate"),
        pytest.param(json.dumps({"version": RELEASE}).encode(), "flavor: is missing; architecture", id="two missing"),
    ],
)
def test_what_tells_no_release_is_refused_with_its_reason(content: bytes, named: str) -> None:
    with pytest.raises(BadIso, match=f"(?s)the file is not usable: .*({named})"):
        parse_facts(content, "the file")


@pytest.mark.parametrize("built_on", ["", "Thu 31 Feb 2026 00:00 UTC", "Fri 18 Oct 2024 00:06 CEST", "\0"])
def test_a_build_time_in_no_known_form_is_unknown(built_on: str) -> None:
    assert IsoFacts.model_validate({**LEAST, "built_on": built_on}).built_at is None


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"Version: 2026.03\n", "2026.03"),
        (b"Version:      2026.03 \r\nBuilt by: x\n", "2026.03"),
        (b"Built by: x\nVersion: 2026.03", "2026.03"),
        (b"Version:\n2026.03\n", None),
        (b"Version: two words\n", None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_the_installed_version_is_the_one_word_behind_its_label(content: bytes, version: str | None) -> None:
    assert installed_version(content) == version


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from([*LEAST, "built_on"]), inner),
    max_leaves=10,
)


@given(st.one_of(st.binary(), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_are_facts_or_a_typed_refusal(content: bytes) -> None:
    installed_version(content)
    try:
        facts = parse_facts(content, "x")
    except BadIso:
        return
    assert facts.built_at is None or facts.built_at.tzinfo is UTC
