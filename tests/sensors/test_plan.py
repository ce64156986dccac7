from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hyops_assets.settings.feed import FeedSettings
from resources.feed.parse import Feed, RefusedEntry, Release, release_at
from sensors.cursor import TURN_RED_AFTER, Cursor
from sensors.plan import MAX_NEW_PER_TICK, MAX_WAITING, Known, Plan, plan, relevant

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


def release(day: int, hour: int = 0) -> Release:
    version = f"2026.03.{day:02d}-{hour:02d}27-rolling"
    return release_at(version, f"https://github.com/x/vyos-{version}-generic-amd64.iso")


def feed(*days: int) -> Feed:
    return Feed(good=tuple(release(day) for day in sorted(days, reverse=True)))


def versions(releases: tuple[Release, ...]) -> list[str]:
    return [found.version for found in releases]


def decided(
    *days: int, cursor: Cursor | None = None, known: Known | None = None, now: datetime = NOW, **settings: Any
) -> Plan:
    return plan(
        cursor or Cursor(), feed(*days), known or Known(), FeedSettings.model_validate({"urls": [], **settings}), now
    )


def after(day: int) -> Cursor:
    """The cursor of an environment that took up one release and built it."""
    newest = release(day).version
    return Cursor(newest={"rolling": newest}, passed={"rolling": newest})


def test_a_first_poll_builds_the_newest_release_only() -> None:
    found = decided(1, 2, 3)
    assert versions(found.ask) == [release(3).version]
    assert "2 older releases are built on demand only" in found.reason
    again = decided(1, 2, 3, cursor=found.cursor, known=Known(taken_up={release(3).version}))
    assert (again.ask, again.alarms) == ((), ())


def test_an_unchanged_feed_leads_to_nothing() -> None:
    found = plan(after(3), None, Known(), FeedSettings(), NOW)
    assert (found.ask, found.alarms, found.cursor, found.reason) == ((), (), after(3), "no release to build")


def test_later_releases_are_built_oldest_first_and_a_few_at_a_time() -> None:
    found = decided(1, 2, 3, 4, 5, cursor=after(1), max_builds_in_flight=10)
    assert versions(found.ask) == [release(2).version, release(3).version]
    assert versions(found.cursor.waiting) == [release(4).version, release(5).version]
    assert f"{release(5).version} waits for the next tick" in found.reason
    assert len(found.ask) == MAX_NEW_PER_TICK


def test_what_waits_is_built_although_the_feed_dropped_it_and_although_it_is_unchanged() -> None:
    first = decided(2, 3, 4, cursor=after(1))
    rotated = decided(5, cursor=first.cursor)
    assert versions(rotated.ask) == [release(4).version, release(5).version]
    unchanged = plan(first.cursor, None, Known(), FeedSettings(), NOW)
    assert versions(unchanged.ask) == [release(4).version]


def test_what_somebody_built_by_hand_is_not_built_again_and_is_no_replay_later() -> None:
    by_hand = Known(taken_up={release(3).version}, asked={release(3).version})
    found = decided(3, cursor=after(2), known=by_hand)
    assert found.ask == ()
    assert f"{release(3).version} was asked for before" in found.reason
    assert decided(3, cursor=found.cursor).alarms == ()


def test_a_partition_without_a_run_is_what_a_killed_daemon_leaves_and_is_asked_for() -> None:
    found = decided(3, cursor=after(2), known=Known(taken_up={release(3).version}))
    assert versions(found.ask) == [release(3).version]


def test_what_was_asked_for_while_it_waited_is_not_asked_for_again() -> None:
    waiting = Cursor(newest={"rolling": release(3).version}, waiting=(release(3),))
    found = plan(waiting, None, Known(asked={release(3).version}), FeedSettings(), NOW)
    assert (found.ask, found.cursor.waiting) == ((), ())


def test_builds_in_flight_hold_further_ones_back() -> None:
    found = decided(3, 4, cursor=after(2), known=Known(in_flight=1), max_builds_in_flight=2)
    assert versions(found.ask) == [release(3).version]
    assert f"{release(4).version} waits: 2 builds are in flight" in found.reason
    assert decided(4, cursor=found.cursor, known=Known(in_flight=2)).ask == ()


def test_a_release_on_the_skip_list_is_never_built_not_even_once_it_is_taken_off() -> None:
    found = decided(3, cursor=after(2), skip=[release(3).version])
    assert (found.ask, found.cursor.waiting) == ((), ())
    assert f"{release(3).version} is on the skip list" in found.reason
    off = decided(3, cursor=found.cursor)
    assert (off.ask, off.alarms) == ((), ())
    assert versions(decided(3, 4, cursor=found.cursor).ask) == [release(4).version]


def test_within_the_cooldown_only_the_newest_of_what_appears_is_built_when_it_ends() -> None:
    weekly: dict[str, Any] = {"min_hours_between_builds": 168}
    first = decided(1, 2, cursor=after(1), now=NOW, **weekly)
    assert versions(first.ask) == [release(2).version]
    cursor = first.cursor
    for day in (3, 4):
        held = decided(day, cursor=cursor, now=NOW + timedelta(days=day), **weekly)
        assert held.ask == ()
        assert "for the cooldown of rolling releases" in held.reason
        cursor = held.cursor
    assert versions(cursor.waiting) == [release(4).version]
    ended = decided(
        4, cursor=cursor, known=Known(taken_up={release(4).version}), now=NOW + timedelta(days=7), **weekly
    )
    assert versions(ended.ask) == [release(4).version]
    assert decided(4, 3, cursor=ended.cursor, known=Known(taken_up={release(4).version}), **weekly).alarms == ()


def test_a_cooldown_does_not_last_longer_because_the_clock_went_back() -> None:
    first = decided(2, cursor=after(1), min_hours_between_builds=24)
    assert decided(3, cursor=first.cursor, now=NOW - timedelta(days=1), min_hours_between_builds=24).ask


def test_lines_have_cooldowns_of_their_own() -> None:
    stream = release_at("2026.03", "https://community-downloads.vyos.dev/stream/2026.03/x.iso")
    cursor = decided(2, cursor=after(1), min_hours_between_builds=24).cursor.but(waiting=(stream,))
    found = plan(cursor, None, Known(), FeedSettings(min_hours_between_builds=24), NOW)
    assert versions(found.ask) == ["2026.03"]


def test_a_refused_entry_is_named_with_its_reason_also_on_the_ticks_after_it() -> None:
    bad = Feed(refused=(RefusedEntry(position=0, version="''", reason="the version is empty"),))
    found = plan(after(1), bad, Known(), FeedSettings(), NOW)
    assert found.reason == "no release to build; refused entry 0 (''): the version is empty"
    assert plan(found.cursor, None, Known(), FeedSettings(), NOW).reason == found.reason


def test_an_alarm_makes_the_feed_be_read_again_and_holds_no_good_release_back() -> None:
    seen = after(3).but(etag='"x"')
    known = Known(taken_up={release(3).version}, urls={release(3).version: "https://elsewhere/"})
    found = decided(3, 4, cursor=seen, known=known)
    assert versions(found.ask) == [release(4).version]
    assert f"ALARM: the URL of {release(3).version} changed" in found.reason
    assert found.cursor.etag is None


def test_a_release_that_github_contradicts_waits_with_an_alarm_until_the_feed_drops_it() -> None:
    doubt = Known(contradicted={release(3).version: "GitHub has no such release"})
    held = decided(3, 4, cursor=after(2), known=doubt)
    assert versions(held.ask) == [release(4).version]
    assert versions(held.cursor.waiting) == [release(3).version]
    assert held.alarms == (f"{release(3).version} waits: GitHub has no such release",)
    dropped = decided(
        4, cursor=held.cursor, known=Known(taken_up={release(4).version}, contradicted=doubt.contradicted)
    )
    assert (dropped.cursor.waiting, dropped.alarms) == ((), ())
    assert f"{release(3).version} is given up" in dropped.reason
    confirmed = decided(3, 4, cursor=held.cursor, known=Known(taken_up={release(4).version}))
    assert versions(confirmed.ask) == [release(3).version]


def test_a_lost_cursor_is_replaced_by_what_the_house_knows() -> None:
    known = Known(newest={"rolling": release(3).version}, taken_up={release(3).version})
    assert versions(decided(2, 3, 4, known=known).ask) == [release(4).version]
    assert decided(2, 3, known=known).alarms == ()


@pytest.mark.seconds
def test_more_than_can_wait_is_left_to_be_read_again() -> None:
    many = tuple(
        release_at(f"2026.{month:02d}.{day:02d}-{hour:02d}00-rolling", "https://github.com/x")
        for month in (3, 2, 1)
        for day in range(28, 0, -1)
        for hour in range(7, 0, -1)
    )
    seen = Cursor(newest={"rolling": "2025.12.31-0000-rolling"}, passed={"rolling": "2025.12.31-0000-rolling"})
    late = datetime(2026, 4, 1, tzinfo=UTC)
    taken: list[str] = []
    cursor, looks = seen.but(etag='"x"'), 0
    while len(taken) < len(many):
        found = plan(cursor, Feed(good=many), Known(taken_up=taken), FeedSettings(max_builds_in_flight=9), late)
        assert len(found.cursor.waiting) <= MAX_WAITING
        taken += versions(found.ask)
        cursor, looks = found.cursor, looks + 1
        assert looks <= len(many)
    assert taken == sorted(one.version for one in many)


def test_what_a_plan_must_know_of_is_what_waits_and_what_is_newer_than_everything_seen() -> None:
    cursor = after(3).but(waiting=(release(2),))
    assert relevant(cursor, feed(1, 3, 4)) == [release(2).version, release(4).version]
    assert relevant(cursor, None) == [release(2).version]
    assert relevant(after(3), None) == []


@pytest.mark.parametrize("text", [None, "", "not JSON", "[]", '{"etag": "\\"x\\"", "of_a_newer_program": 1}'])
def test_a_cursor_of_another_program_version_or_hand_is_read(text: str | None) -> None:
    assert Cursor.parse(text).failures == 0


def test_a_cursor_survives_being_written_down() -> None:
    cursor = decided(2, 3, 4, cursor=after(1), min_hours_between_builds=1).cursor.failed("down", NOW, 60)
    assert Cursor.parse(cursor.model_dump_json()) == cursor


def test_a_failing_feed_is_asked_less_and_less_often_and_a_good_answer_forgives_all() -> None:
    cursor, now, waits = Cursor(), NOW, []
    for _ in range(12):
        cursor = cursor.failed("down", now, 60)
        assert cursor.not_before is not None
        assert cursor.resting(now)
        assert not cursor.resting(cursor.not_before)
        waits.append((cursor.not_before - now).total_seconds() / 60)
        now = cursor.not_before
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]
    assert cursor.dead
    forgiven = cursor.read('"x"', "https://x")
    assert (forgiven.failures, forgiven.not_before, forgiven.dead) == (0, None, False)


def test_a_dead_feed_has_ticks_between_two_polls_however_rarely_it_is_polled() -> None:
    cursor = Cursor()
    for _ in range(TURN_RED_AFTER):
        cursor = cursor.failed("down", NOW, 86_400)
    assert cursor.resting(NOW + timedelta(days=1))


def test_a_clock_that_went_back_does_not_make_a_pause_longer() -> None:
    cursor = Cursor().failed("down", NOW, 60)
    assert not cursor.resting(NOW - timedelta(days=30))
