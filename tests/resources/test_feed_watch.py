"""A feed against what it said before: what is new, and what must not pass in silence."""

from datetime import UTC, datetime

import pytest

from resources.feed.parse import Feed, Release, release_at
from resources.feed.watch import KnownReleases, Watched, watch

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def rolling(day: int) -> str:
    return f"2026.03.{day:02d}-0027-rolling"


def release(version: str, host: str = "github.com") -> Release:
    return release_at(version, f"https://{host}/{version}.iso")


def compared(*versions: str, seen: KnownReleases, now: datetime = NOW) -> Watched:
    return watch(Feed(good=tuple(release(version) for version in versions)), seen, now)


def fresh(watched: Watched) -> list[str]:
    return [found.version for found in watched.fresh]


def test_of_a_line_that_was_never_read_the_newest_release_is_new_and_the_others_are_history() -> None:
    watched = compared(rolling(3), rolling(2), rolling(1), "2026.02", seen=KnownReleases())
    assert (fresh(watched), watched.history, watched.alarms) == ([rolling(3), "2026.02"], 2, ())


def test_what_is_newer_than_everything_seen_is_new_oldest_first() -> None:
    watched = compared(
        rolling(4), rolling(3), rolling(2), seen=KnownReleases({"rolling": rolling(2)}, known={rolling(2)})
    )
    assert (fresh(watched), watched.alarms) == ([rolling(3), rolling(4)], ())


def test_history_that_a_first_reading_passed_over_stays_history() -> None:
    seen = KnownReleases({"rolling": rolling(3)}, passed={"rolling": rolling(3)}, known={rolling(3)})
    assert compared(rolling(3), rolling(2), rolling(1), seen=seen) == Watched()


def test_a_feed_whose_newest_release_is_older_than_before_went_backwards() -> None:
    watched = compared(rolling(3), seen=KnownReleases({"rolling": rolling(4)}, known={rolling(3)}))
    assert watched.alarms == (f"the feed went backwards: its newest release is {rolling(3)}, after {rolling(4)}",)
    assert watched.fresh == ()


def test_an_old_release_that_was_never_named_before_is_a_replay() -> None:
    seen = KnownReleases({"rolling": rolling(5)}, passed={"rolling": rolling(2)}, known={rolling(5)})
    watched = compared(rolling(5), rolling(4), rolling(1), seen=seen)
    assert watched.alarms == (
        f"{rolling(4)} appears now, and is older than what was seen before: an old release is replayed",
    )
    assert watched.fresh == ()


def test_a_known_release_at_another_url_is_an_alarm() -> None:
    elsewhere = f"https://example.org/{rolling(3)}.iso"
    watched = compared(
        rolling(3), seen=KnownReleases({"rolling": rolling(3)}, known={rolling(3)}, urls={rolling(3): elsewhere})
    )
    (alarm,) = watched.alarms
    assert alarm == f"the URL of {rolling(3)} changed from {elsewhere} to https://github.com/{rolling(3)}.iso"


def test_a_known_release_whose_url_was_not_noted_is_none() -> None:
    assert compared(rolling(3), seen=KnownReleases({"rolling": rolling(3)}, known={rolling(3)})) == Watched()


def test_a_release_of_the_future_is_an_alarm_and_makes_nothing_look_old() -> None:
    watched = compared("2099.01.01-0000-rolling", rolling(4), seen=KnownReleases({"rolling": rolling(3)}))
    assert fresh(watched) == [rolling(4)]
    assert "2099.01.01-0000-rolling is named for a time" in watched.alarms[0]


def test_a_clock_that_is_hours_behind_holds_nothing_back() -> None:
    behind = datetime(2026, 3, 3, 1, tzinfo=UTC)
    assert fresh(compared(rolling(4), seen=KnownReleases({"rolling": rolling(3)}), now=behind)) == [rolling(4)]


def test_both_schemes_of_rolling_releases_are_one_line() -> None:
    seen = KnownReleases({"rolling": "1.5-rolling-202503300019"})
    assert fresh(compared("2025.04.04-0018-rolling", seen=seen)) == ["2025.04.04-0018-rolling"]
    assert compared("1.5-rolling-202503300019", seen=KnownReleases({"rolling": "2025.04.04-0018-rolling"})).alarms


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.5-stream-2025-Q1", "1.5-stream-2025-Q2"),
        ("1.5-stream-2025-Q2", "2025.11"),
        ("2025.11", "2026.02"),
        ("2026.02", "2026.02.1"),
        ("2026.02.9", "2026.02.10"),
    ],
)
def test_stream_releases_are_ordered_by_quarter_month_and_correction(older: str, newer: str) -> None:
    assert fresh(compared(newer, seen=KnownReleases({"stream": older}))) == [newer]
    assert compared(older, seen=KnownReleases({"stream": newer})).alarms


def test_lines_do_not_make_one_another_look_old() -> None:
    seen = KnownReleases({"rolling": rolling(5), "stream": "2026.02"}, known={rolling(5), "2026.02"})
    assert compared(rolling(5), "2026.02", seen=seen) == Watched()
    assert fresh(compared(rolling(5), "2026.03", seen=seen)) == ["2026.03"]
