"""72 simulated hours of a feed with outages and bad data, of daemons that die and clocks that jump.

Every good release that a successful poll saw is built exactly once, and nothing else is built: on the pure plan, and
through the real sensor on a real Dagster instance.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import dagster as dg
import pytest
from hypothesis import given, settings

from hyops_assets.assets.upstream import vyos_release
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.feed import FeedSettings
from resources.feed.client import FeedUnavailable
from resources.feed.parse import Feed, Release, parse_feed
from sensors.cursor import Cursor
from sensors.plan import MAX_NEW_PER_TICK, Known, plan
from sensors.releases import FeedAlarm
from tests.assets.daemon import SETTINGS as AUTOMATION
from tests.assets.daemon import Daemon as Automation
from tests.sensors.scene import Daemon, Killed, announced
from tests.sensors.world import BEGIN, QUIET, Hour, World, hours

pytestmark = pytest.mark.seconds

SETTINGS = FeedSettings(urls=[], github_api=None, poll_seconds=3600, max_builds_in_flight=3)


class LabEnvironment(Protocol):
    """What a story needs of an environment, whether its Dagster is real or a few sets."""

    def reads(self, now: datetime) -> bool: ...
    def visit(self, document: bytes | None, now: datetime, killed_after: str) -> list[str] | None:
        """Have the sensor tick; return what a tick that was killed had asked for, None where it ended."""
        ...

    def announced(self) -> set[str]: ...
    def by_hand(self, version: str) -> None: ...
    def end(self, builds: int) -> None: ...
    def reset(self) -> None: ...
    def built(self) -> list[str]: ...


class Paper:
    """Sets around the pure plan: what an instance would remember, written in the order of a daemon."""

    def __init__(self) -> None:
        self.cursor = Cursor()
        self.events: list[Release] = []
        self.partitions: set[str] = set()
        self.runs: list[str] = []
        self.by_key: set[str] = set()
        self.running: list[str] = []

    def reads(self, now: datetime) -> bool:
        return not self.cursor.resting(now)

    def announced(self) -> set[str]:
        return {release.version for release in self.events}

    def visit(self, document: bytes | None, now: datetime, killed_after: str) -> list[str] | None:
        cursor, feed = self.cursor, None
        if self.reads(now):
            try:
                if document is None:
                    raise FeedUnavailable("gone", hint="wait")
                feed = parse_feed(document, hosts=SETTINGS.hosts)
                cursor = cursor.read(None, "feed")
            except HyopsError as error:
                cursor = cursor.failed(error.message, now, SETTINGS.poll_seconds)
        decided = plan(cursor, feed, self._known(cursor, feed), SETTINGS, now)
        assert len(decided.ask) <= MAX_NEW_PER_TICK
        if decided.alarms and not decided.ask and decided.cursor.memory == self.cursor.memory:
            return None
        asked = [release.version for release in decided.ask]
        self.events += decided.ask
        if killed_after == "events":
            return asked
        self.partitions |= set(asked)
        if killed_after == "partitions":
            return asked
        for version in asked:
            if version not in self.by_key:
                self.by_key.add(version)
                self._run(version)
        if killed_after == "runs":
            return asked
        self.cursor = Cursor.parse(decided.cursor.model_dump_json())
        return None

    def _known(self, cursor: Cursor, feed: Feed | None) -> Known:
        newest = cursor.newest.get("rolling", "")
        recent = {release.version: release for release in self.events[-4 * MAX_NEW_PER_TICK :]} if feed else {}
        unfinished = [one for one in recent.values() if one.version > newest]
        announced = [release.version for release in self.events if release.version in self.runs]
        return Known(
            newest={"rolling": max(announced)} if announced and not cursor.newest else {},
            taken_up=self.partitions,
            asked=set(self.runs),
            urls={release.version: release.url for release in self.events},
            unfinished=unfinished,
            in_flight=len(self.running),
        )

    def by_hand(self, version: str) -> None:
        self.partitions.add(version)
        self._run(version)

    def _run(self, version: str) -> None:
        self.runs.append(version)
        self.running.append(version)

    def end(self, builds: int) -> None:
        del self.running[:builds]

    def reset(self) -> None:
        self.cursor = Cursor()

    def built(self) -> list[str]:
        return self.runs


class Real(Daemon):
    """The real sensor on a real instance; the feed lies in a file. What is built is published and seeded."""

    def __init__(self, directory: Path, instance: dg.DagsterInstance) -> None:
        self.file = directory / "version.json"
        self.now = BEGIN
        here = SETTINGS.model_copy(update={"urls": [str(self.file)]})
        super().__init__(directory, instance, here, clock=lambda: self.now)
        # Three days pass in seconds here: the cap of paid seeds a day counts real ones.
        uncapped = AUTOMATION.model_copy(update={"seeding": AUTOMATION.seeding.model_copy(update=UNCAPPED)})
        sites = AUTOMATION.sites.hetzner
        hetzner = {name: site.model_copy(update=UNCAPPED) for name, site in sites.items()}
        uncapped = uncapped.model_copy(update={"sites": AUTOMATION.sites.model_copy(update={"hetzner": hetzner})})
        self.automation = Automation(RuntimeRoot(directory / "seeds"), instance, uncapped)
        self.seeds: Counter[str] = Counter()
        self.seed()

    def reads(self, now: datetime) -> bool:
        return not Cursor.parse(self.cursor).resting(now)

    def announced(self) -> set[str]:
        events = self.instance.fetch_materializations(vyos_release.key, limit=1000).records
        return {str(record.partition_key) for record in events}

    def visit(self, document: bytes | None, now: datetime, killed_after: str) -> list[str] | None:
        self.now = now
        self.file.unlink(missing_ok=True)
        if document is not None:
            self.file.write_bytes(document)
        try:
            self.tick(killed_after=killed_after)
        except (FeedAlarm, FeedUnavailable):
            return None
        except Killed:
            assert self.result is not None
            return [str(version) for version in announced(self.result)]
        return None

    def by_hand(self, version: str) -> None:
        self.launch(version)

    def _new_run(self, tags: dict[str, str]) -> dg.DagsterRun:
        """Create the run with all its events: the automation of seeds reads what a run plans to make."""
        return self.instance.create_run_for_job(self.build, tags=tags)

    def end(self, builds: int) -> None:
        """Let builds end: each published its contract, whose blocking check passed."""
        running = [run for run in self.runs() if not run.is_finished]
        for run in running[:builds]:
            self.automation.publish(run.tags["dagster/partition"])
            self.finish(run)
        if running and builds:
            self.seed()

    def seed(self) -> None:
        """Have the automation tick; each seed that it asks for ends well."""
        asked = [str(key) for keys in self.automation.tick().values() for key in keys]
        self.seeds.update(asked)
        for version in sorted({key.partition("|")[2] for key in asked}):
            self.automation.seeded(version)

    def reset(self) -> None:
        self.cursor = None


def live(lab_environment: LabEnvironment, story: Sequence[Hour], *, quiet: int = 48) -> Counter[str]:
    """Live through a story and so many quiet hours after it; return what had to be built, each once."""
    world, by_hand = World(), set[str]()
    for hour in [*story, *[QUIET] * quiet]:
        document, now = world.document(hour), world.clock(hour)
        if hour.by_hand is not None:
            version = world.published[-1 - min(hour.by_hand, len(world.published) - 1)]
            if version not in lab_environment.built() and version not in lab_environment.announced():
                lab_environment.by_hand(version)
                by_hand.add(version)
        lab_environment.end(hour.ended)
        if hour.daemon == "asleep":
            continue
        if hour.daemon == "cursor reset":
            lab_environment.reset()
            world.forget(lab_environment.announced(), lab_environment.built())
        answered = lab_environment.reads(now) and hour.feed not in ("gone", "no JSON")
        asked = lab_environment.visit(document, now, KILLS.get(hour.daemon, ""))
        if asked is not None:
            world.killed(asked)
        elif answered and document is not None:
            world.read(document, now)
    return Counter(world.due | by_hand)


UNCAPPED = {"paid_seeds_a_day": 1000}
KILLS = {"events": "events", "partitions": "partitions", "runs killed": "runs"}


def live_on_paper(story: Sequence[Hour], *, quiet: int = 48) -> None:
    """Live through a story with the plan alone."""
    lab_environment = Paper()
    due = live(lab_environment, story, quiet=quiet)
    assert Counter(lab_environment.built()) == due


@settings(max_examples=15, deadline=None)
@given(hours)
def test_in_any_72_hours_every_good_release_that_was_seen_is_built_once_and_nothing_else(story: list[Hour]) -> None:
    live_on_paper(story)


@pytest.mark.long
@settings(max_examples=1000, deadline=None)
@given(hours)
def test_in_a_thousand_times_72_hours_every_good_release_is_built_once(story: list[Hour]) -> None:
    live_on_paper(story)


def live_for_real(story: Sequence[Hour], *, quiet: int = 48) -> None:
    """Live through a story with the real sensor, the automation of seeds, and a Dagster instance."""
    with tempfile.TemporaryDirectory() as directory, dg.DagsterInstance.ephemeral() as instance:
        lab_environment = Real(Path(directory), instance)
        due = live(lab_environment, story, quiet=quiet)
        assert Counter(lab_environment.built()) == due
        assert lab_environment.seeds == Counter(f"auto|{version}" for version in due for _ in ("proxmox", "hetzner"))


EVERY_KIND_OF_HOUR = [
    Hour(publishes=True, listed=2, feed="good", behind=0, daemon="runs", by_hand=None, ended=0),
    Hour(publishes=True, listed=3, feed="empty version", behind=0, daemon="events", by_hand=None, ended=1),
    Hour(publishes=False, listed=3, feed="gone", behind=0, daemon="runs", by_hand=None, ended=1),
    Hour(publishes=True, listed=3, feed="moved", behind=3, daemon="partitions", by_hand=0, ended=1),
    Hour(publishes=True, listed=3, feed="future", behind=-3, daemon="runs killed", by_hand=None, ended=2),
    Hour(publishes=False, listed=1, feed="rolled back", behind=0, daemon="asleep", by_hand=None, ended=1),
    Hour(publishes=False, listed=2, feed="no JSON", behind=0, daemon="cursor reset", by_hand=None, ended=1),
    Hour(publishes=True, listed=1, feed="good", behind=0, daemon="runs", by_hand=None, ended=2),
]
"""A bad day: each way in which the feed fails and the daemon dies, once."""


@pytest.mark.parametrize("live_through", [live_on_paper, live_for_real])
def test_a_day_of_every_trouble_ends_with_each_release_built_once(live_through: Callable[..., None]) -> None:
    live_through(EVERY_KIND_OF_HOUR, quiet=10)


@pytest.mark.long
@settings(max_examples=2, deadline=None, derandomize=True)
@given(hours)
def test_the_same_hours_through_the_real_sensor_and_the_automation_of_seeds(story: list[Hour]) -> None:
    live_for_real(story)
