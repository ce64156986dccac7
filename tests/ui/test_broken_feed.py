"""A release feed that breaks while no person looks: the daemon notices, and the UI says why, in a real browser."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.version import iso_file_name
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.pipeline import Settings
from hyops_lab.authority import Authority
from hyops_lab.faults import Answer, Rule
from hyops_lab.feed import DOWNLOADS, FEED_NAME, ReleaseServer
from hyops_lab.iso_layout import built_at
from hyops_lab.running import running
from hyops_lab.signing import LabKey
from hyops_lab.trace import Trace
from resources.feed.download import ATTEMPTS
from resources.settings import save_settings
from tests.ui.browsing import empty_page, visit
from tests.ui.served import Ui, serving, wait_until

HISTORY = "2026.03.01-0027-rolling"
KNOWN = "2026.03.03-0027-rolling"
SENSOR = 'repositoryName: "__repository__", repositoryLocationName: "hyops_assets", sensorName: "vyos_rolling_release"'
TICKS = (
    f"{{sensorOrError(sensorSelector: {{{SENSOR}}}) {{... on Sensor {{sensorState {{ticks(limit: 20) "
    "{tickId timestamp status skipReason runIds error {message causes {message}}}}}}}"
)
EVENTS = (
    "{runOrError(runId: %s) {... on Run {status eventConnection(limit: 1000) {events {__typename "
    "... on StepEvent {stepKey} ... on ErrorEvent {error {message causes {message}}}}}}}}"
)
OUT_OF_ORDER = Rule(
    "GET",
    f"/{DOWNLOADS}/{KNOWN}/{iso_file_name(KNOWN)}",
    Answer(503, "unavailable"),
    nth=frozenset(range(1, ATTEMPTS + 1)),
)
"""The release host has no answer, for as long as a step asks it; at the step's next attempt it has one."""
LIMIT = 180.0
"""For what takes five to thirty seconds where the machine has nothing else to do."""
SECONDS = 60_000
Tick = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """The lab's feed, of which one release was taken up, and the UI of the environment that polls it.

    Attributes:
        whole: what the feed says while nothing is wrong.
        run: the run that was asked for when the release appeared.
    """

    server: ReleaseServer
    ui: Ui
    whole: bytes
    run: str

    @property
    def feed(self) -> Path:
        return self.server.directory / FEED_NAME

    def say(self, content: bytes | list[Any]) -> None:
        """Have the feed say something else, from one moment to the next."""
        changed = self.feed.with_name(".changed")
        changed.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        changed.replace(self.feed)

    def entries(self) -> list[dict[str, str]]:
        """What the feed said when nothing was wrong, newest first."""
        return json.loads(self.whole)

    def tick(self, status: str, *words: str) -> Tick:
        """Wait for a tick of this status whose skip reason or error has these words."""

        def found() -> Tick | None:
            said = ((tick, json.dumps(tick)) for tick in ticks(self.ui) if tick["status"] == status)
            return next((tick for tick, text in said if all(word in text for word in words)), None)

        return wait_until(f"a tick, {status}, that says {words}", found, within=LIMIT)


def failures(scene: Scene) -> list[tuple[str, str]]:
    """Wait for the end of the scene's run; return what became of its attempts at steps, and the reasons."""

    def ended() -> dict[str, Any] | None:
        run = scene.ui.ask(EVENTS % json.dumps(scene.run))["runOrError"]
        return run if run["status"] in ("FAILURE", "SUCCESS", "CANCELED") else None

    run = wait_until("the run's end", ended, within=LIMIT)
    return [
        (event["__typename"], json.dumps(event.get("error")))
        for event in run["eventConnection"]["events"]
        if event.get("stepKey") == "vyos_iso" and "Step" in event["__typename"]
    ]


def ticks(ui: Ui) -> list[Tick]:
    state = ui.ask(TICKS)["sensorOrError"].get("sensorState")
    return state["ticks"] if state else []


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A release was taken up. Its ISO is out of reach at first, and signed by a key that is not trusted: no build."""
    directory = tmp_path_factory.mktemp("broken-feed")
    authority = Authority(directory / "authority")
    server = ReleaseServer(directory / "feed", Trace(directory / "trace.jsonl"), authority)
    iso = directory / "some.iso"
    iso.write_bytes(b"no ISO")
    untrusted_key = LabKey.generate()
    environment = {"SSL_CERT_FILE": str(authority.bundle_file), "NO_PROXY": "127.0.0.1,localhost"}
    root = RuntimeRoot(directory / "root")
    command = [sys.executable, "-m", "tests.unsynced", "dev", "--root", str(root.path), "--port", "{port}"]
    with running(server):
        for release in (HISTORY, KNOWN):
            signed = untrusted_key.sign_file(iso, file_name=iso_file_name(release), signed_at=built_at(release))
            server.publish(release, iso, signed, built_at(release))
        server.faults.add(OUT_OF_ORDER)
        feed = {"urls": [server.feed_url], "iso_hosts": ["127.0.0.1"], "github_api": server.url, "skip": [HISTORY]}
        settings = FeedSettings.model_validate({**feed, "poll_seconds": 5, "sensor": "running"})
        save_settings(root, Settings(feed=settings), heading="test")
        with serving(command, environment, root, directory / "dev.log", within=LIMIT) as ui:
            (run,) = wait_until("a run", lambda: [run for tick in ticks(ui) for run in tick["runIds"]], within=LIMIT)
            yield Scene(server, ui, (server.directory / FEED_NAME).read_bytes(), run)


@pytest.fixture(scope="module")
def page(scene: Scene) -> Iterator[Page]:
    """A page of a browser that opened the UI by its link."""
    with empty_page() as page:
        page.goto(scene.ui.link())
        expect(page.get_by_text("Deployment").first).to_be_visible(timeout=SECONDS)
        yield page


def details_of(page: Page, tick: Tick) -> Locator:
    """Open the details of a tick as a user does: the sensor's page, the tick's row, its result."""
    at = datetime.fromtimestamp(tick["timestamp"], UTC)
    shown = f"{at:%b} {at.day}, {at.hour % 12 or 12}:{at:%M:%S %p}"
    visit(page, "/locations/hyops_assets/sensors/vyos_rolling_release")
    page.get_by_role("row").filter(has_text=shown).get_by_role("button", name="runs requested").click()
    return page.get_by_role("dialog")


def expect_check_to_say(page: Page, reason: str) -> None:
    visit(page, "/assets/vyos_release?view=checks&checkDetail=feed_is_sound")
    expect(page.get_by_text(reason).first).to_be_in_viewport(timeout=SECONDS)


@pytest.mark.slow
def test_a_refused_entry_is_shown_with_its_reason_and_the_tick_is_not_red(scene: Scene, page: Page) -> None:
    scene.say([*scene.entries(), {"url": "https://127.0.0.1/vyos.iso", "version": "", "timestamp": ""}])
    scene.tick("SKIPPED", "refused entry 2", "the version is empty")
    expect_check_to_say(page, "the version is empty")


@pytest.mark.slow
def test_a_contradiction_is_a_red_tick_that_says_why_and_fails_the_feeds_check_until_the_feed_is_mended(
    scene: Scene, page: Page
) -> None:
    """One of those that `tests/sensors/test_releases.py` has the sensor read."""
    scene.say(scene.entries()[1:])
    reason = "the feed went backwards: its newest release is"
    tick = scene.tick("FAILURE", reason)
    expect(details_of(page, tick).get_by_text(reason)).to_be_in_viewport(timeout=SECONDS)
    page.keyboard.press("Escape")
    expect_check_to_say(page, reason)
    scene.say(scene.whole)
    wait_until("a tick that is not red", lambda: ticks(scene.ui)[0]["status"] == "SKIPPED", within=LIMIT)
    expect_check_to_say(page, "none contradicts an earlier reading")


@pytest.mark.slow
def test_a_feed_that_gives_no_answer_is_a_reason_and_not_silence(scene: Scene, page: Page) -> None:
    scene.feed.unlink()
    tick = scene.tick("SKIPPED", "answers 404")
    expect(details_of(page, tick).get_by_text("answers 404")).to_be_in_viewport(timeout=SECONDS)
    page.keyboard.press("Escape")


@pytest.mark.slow
def test_a_run_of_the_daemon_tries_a_step_again_that_failed_in_passing_and_no_other(scene: Scene) -> None:
    events = failures(scene)
    kinds = [kind for kind, _ in events if "Output" not in kind]
    assert kinds == [
        "ExecutionStepStartEvent",
        "ExecutionStepUpForRetryEvent",
        "ExecutionStepRestartEvent",
        "ExecutionStepFailureEvent",
    ], events
    assert "503" in dict(events)["ExecutionStepUpForRetryEvent"]
    assert "which is not trusted" in dict(events)["ExecutionStepFailureEvent"]


@pytest.mark.slow
def test_a_release_signed_by_an_untrusted_key_is_a_failed_run_that_says_why(scene: Scene, page: Page) -> None:
    visit(page, f"/runs/{scene.run}")
    # Of a long trace, a row shows the beginning.
    page.get_by_text("View full message").nth(1).click(timeout=LIMIT * 1000)
    why = page.get_by_role("dialog").get_by_text("which is not trusted").first
    why.scroll_into_view_if_needed()
    expect(why).to_be_in_viewport(timeout=SECONDS)
    page.keyboard.press("Escape")


@pytest.mark.slow
def test_a_feed_that_is_out_of_reach_for_long_is_a_red_tick_that_says_so(scene: Scene, page: Page) -> None:
    """It has been since an earlier test: the daemon waits longer after each poll that fails."""
    scene.feed.unlink(missing_ok=True)
    tick = scene.tick("FAILURE", "polls failed in a row", "answers 404")
    details = details_of(page, tick)
    expect(details.get_by_text("polls failed in a row")).to_be_in_viewport(timeout=SECONDS)
    expect(details.get_by_text("answers 404")).to_be_in_viewport(timeout=SECONDS)
