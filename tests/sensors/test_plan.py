from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.feed.parse import Feed, RefusedEntry, Release, release_at
from sensors.plan import MAX_NEW_PER_TICK, Cursor, plan


def release(day: int) -> Release:
    version = f"2026.03.{day:02d}-0027-rolling"
    at = datetime(2026, 3, day, 0, 27, tzinfo=UTC)
    return release_at(version, f"https://github.com/x/vyos-{version}-generic-amd64.iso").model_copy(
        update={"timestamp": at}
    )


def feed(*days: int) -> Feed:
    return Feed(good=tuple(release(day) for day in sorted(days, reverse=True)))


def test_a_first_poll_builds_the_newest_release_only() -> None:
    assert [found.version for found in plan(feed(1, 2, 3), known=[]).new] == ["2026.03.03-0027-rolling"]


def test_what_is_a_partition_is_never_built_again() -> None:
    decided = plan(feed(3), known=["2026.03.03-0027-rolling"])
    assert decided.new == ()
    assert decided.reason == "no new release"


def test_a_revision_counts_as_its_release() -> None:
    assert plan(feed(3), known=["2026.03.03-0027-rolling-r2"]).new == ()


def test_later_releases_are_built_oldest_first_and_a_few_at_a_time() -> None:
    decided = plan(feed(1, 2, 3, 4, 5), known=["2026.03.01-0027-rolling"])
    assert [found.version for found in decided.new] == ["2026.03.02-0027-rolling", "2026.03.03-0027-rolling"]
    assert decided.more
    assert "2 more wait" in decided.reason


def test_a_refused_entry_is_named_with_its_reason() -> None:
    bad = Feed(refused=(RefusedEntry(position=0, version="''", reason="the version is empty"),))
    assert plan(bad, known=["2026.03.01-0027-rolling"]).reason == (
        "no new release; refused entry 0 (''): the version is empty"
    )


@pytest.mark.parametrize("text", [None, "", '{"etag": "\\"x\\"", "of_a_newer_program": 1}'])
def test_a_cursor_of_another_program_version_is_read(text: str | None) -> None:
    assert Cursor.parse(text).failures == 0


@given(st.sets(st.integers(1, 28)), st.sets(st.integers(1, 28), min_size=1))
def test_repeated_ticks_build_every_new_release_exactly_once(announced: set[int], known: set[int]) -> None:
    partitions = {release(day).version for day in known}
    built: list[str] = []
    while (decided := plan(feed(*announced), partitions)).new:
        assert len(decided.new) <= MAX_NEW_PER_TICK
        built += [found.version for found in decided.new]
        partitions |= set(built)
    assert sorted(built) == sorted(release(day).version for day in announced - known)
