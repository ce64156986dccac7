import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.version import (
    BadVersion,
    RecordVersion,
    iso_file_name,
    release_line,
    release_of_iso,
    release_time,
    require_key,
)


@pytest.mark.parametrize(
    ("text", "release", "revision"),
    [
        ("2026.03.03-0027-rolling", "2026.03.03-0027-rolling", 1),
        ("2026.03.03-0027-rolling-r2", "2026.03.03-0027-rolling", 2),  # the source document's second build
        ("1.5-rolling-202410180006", "1.5-rolling-202410180006", 1),  # scheme until spring 2025
        ("1.5-stream-2025-Q2-r12", "1.5-stream-2025-Q2", 12),
        ("2026.03", "2026.03", 1),  # Stream since autumn 2025
        ("2026.03.1-r3", "2026.03.1", 3),
    ],
)
def test_every_published_scheme_parses_and_prints_back(text: str, release: str, revision: int) -> None:
    version = RecordVersion.parse(text)
    assert (version.release, version.revision) == (release, revision)
    assert str(version) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "20240229-new-github-token",  # VyOS once published a test tag as its newest release
        "2026.03.03-0027-rolling-r0",
        "2026.03.03-0027-rolling-r1",
        "2026.03.03-0027-rolling-r2-r3",
        "\uff12\uff10\uff12\uff16.03.03-0027-rolling",
        "2026.03.03-0027-rolling\n",
        "../2026.03",
    ],
)
def test_what_vyos_never_published_is_refused(text: str) -> None:
    with pytest.raises(BadVersion) as refusal:
        RecordVersion.parse(text)
    assert refusal.value.hint


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused_and_never_fails_otherwise(text: str) -> None:
    try:
        version = RecordVersion.parse(text)
    except BadVersion:
        return
    assert str(version) == text


def test_revisions_are_ordered_and_the_next_one_is_named() -> None:
    first = RecordVersion.parse("2026.03")
    assert str(first.next_revision()) == "2026.03-r2"
    assert first < first.next_revision() < first.next_revision().next_revision()


def test_releases_are_ordered_by_their_time_whatever_their_names_look_like() -> None:
    old_to_new = [
        *("1.5-rolling-202401011200", "1.4-rolling-202407011200", "1.5-stream-2025-Q1", "2026.03.2", "2026.03.10"),
        "2026.04.13-0034-rolling",
    ]
    assert [str(one) for one in sorted(map(RecordVersion.parse, reversed(old_to_new)))] == old_to_new


def test_the_iso_is_named_as_vyos_names_it() -> None:
    assert iso_file_name("2026.03") == "vyos-2026.03-generic-amd64.iso"


@pytest.mark.parametrize("key", ["", "V", "vyos/1.5", "../x", "-vyos", "a" * 64])
def test_a_key_that_hybridops_would_refuse_is_refused(key: str) -> None:
    with pytest.raises(Refused):
        require_key(key)


@pytest.mark.parametrize(
    ("release", "line", "minute"),
    [
        ("2026.03.03-0027-rolling", "rolling", "2026-03-03 00:27"),
        ("1.5-rolling-202410180006", "rolling", "2024-10-18 00:06"),
        ("1.4-rolling-202308110317", "rolling", "2023-08-11 03:17"),
        ("1.5-stream-2025-Q2", "stream", None),
        ("2025.11", "stream", None),
        ("2026.03.1", "stream", None),
    ],
)
def test_a_release_tells_its_line_and_a_rolling_one_its_minute(release: str, line: str, minute: str | None) -> None:
    assert release_line(release) == line
    found = release_time(release)
    assert (f"{found:%Y-%m-%d %H:%M}" if found else None) == minute


@pytest.mark.parametrize("text", ["2026.02.30-0027-rolling", "1.5-rolling-202413010000", "2026.03.03-2460-rolling-r2"])
def test_a_release_of_a_day_that_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(BadVersion, match="no calendar has"):
        RecordVersion.parse(text)


@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("vyos-2026.03.03-0027-rolling-generic-amd64.iso", "2026.03.03-0027-rolling"),
        ("vyos-1.5-rolling-202410180006-generic-amd64.iso", "1.5-rolling-202410180006"),
        ("vyos-1.5-rolling-202403150017-amd64.iso", "1.5-rolling-202403150017"),  # until August 2024
        ("vyos-1.5-stream-2025-Q1-generic-amd64.iso", "1.5-stream-2025-Q1"),
        ("vyos-2025.11-generic-amd64.iso", "2025.11"),
        ("vyos-1.5-rolling-202410180006-amd64.iso", None),  # of a time when the flavor was in the name
        ("vyos-2025.11-amd64.iso", None),
        ("vyos-2025.11-generic-arm64.iso", None),
        ("vyos-٢٠٢٥.11-generic-amd64.iso", None),
        ("vyos-20240229-new-github-token-amd64.iso", None),
        ("vyos--generic-amd64.iso", None),
        ("../vyos-2025.11-generic-amd64.iso", None),
    ],
)
def test_the_name_of_an_iso_tells_its_release(name: str, release: str | None) -> None:
    assert release_of_iso(name) == release
