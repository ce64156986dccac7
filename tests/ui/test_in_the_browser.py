"""The UI in a real browser: every asset in its group, what the shell materialized; and an attack while it is open.

The attack comes from another site's page, from another user's client and by a rebound name. The same mutation from the
real page starts its run: the guard keeps out who asks, not what is asked.
"""

import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from hyops_assets.assets.run_liveness import is_by_shell
from hyops_assets.cli.instance import environment_of
from tests.assets.environment import RELEASE, LabEnvironment
from tests.ui.browsing import empty_page, visit
from tests.ui.served import Ui, serving, ui_alone, wait_until

ASSETS = (
    "vyos_release",
    "vyos_iso",
    "qcow2_record",
    "raw_xz_record",
    "published_contract",
    "proxmox_template",
    "hetzner_image",
)
SECONDS = 60_000

LAUNCH = """mutation L($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "hyops_assets",
    "jobName": "look_for_drift",
}
VARIABLES = {"p": {"selector": SELECTOR, "runConfigData": "{}", "mode": "default"}}
ATTACK = """<!doctype html><title>attack</title><iframe src="%(ui)s/"></iframe><script>
const body = JSON.stringify(%(body)s)
const query = encodeURIComponent(%(query)s), variables = encodeURIComponent(%(variables)s)
const at = "%(ui)s/graphql", sent = { mode: "no-cors", method: "POST", credentials: "include" }
const asked = [
  fetch(`${at}?query=${query}&variables=${variables}`, sent),
  fetch(at, { ...sent, body, headers: { "Content-Type": "text/plain; application/json" } }),
  fetch(at, { ...sent, mode: "cors", body, headers: { "Content-Type": "application/json" } }),
  fetch("%(ui)s/report_asset_materialization/vyos_release", { ...sent, body: "{}" }),
  new Promise((done) => {
    const socket = new WebSocket(at.replace("http", "ws"), "graphql-ws")
    socket.onerror = socket.onopen = done
  }),
]
Promise.allSettled(asked).then(() => { document.title = "sent" })
</script>"""


@contextmanager
def foreign_site(ui: Ui) -> Iterator[str]:
    """Serve the attack from another origin; yield its URL. Under localhost it is even the same site."""
    values = {
        "ui": ui.url,
        "body": json.dumps({"query": LAUNCH, "variables": VARIABLES}),
        "query": json.dumps(LAUNCH),
        "variables": json.dumps(json.dumps(VARIABLES)),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((ATTACK % values).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def curl(ui: Ui, *words: str) -> str:
    """The status that a client without the cookie gets, as another user of this host is."""
    asked = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *words, f"{ui.url}/graphql"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def ui(seeded: LabEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The UI of an environment that published and seeded, without a daemon: what it is asked to run waits in line."""
    log = tmp_path_factory.mktemp("ui") / "ui.log"
    with serving(ui_alone(), environment_of(seeded.root), seeded.root, log, within=180) as ui:
        yield ui
    written = b"".join(path.read_bytes() for path in (log, *seeded.root.path.rglob("*.key")))
    assert written.count(b"code=") == 1, "the link that was printed, and no key that is left"


@pytest.fixture(scope="module")
def page(ui: Ui) -> Iterator[Page]:
    """A browser that opened the UI by its link."""
    with empty_page() as page:
        page.goto(ui.link())
        assert page.url == f"{ui.url}/"
        yield page


@pytest.mark.slow
def test_no_trace_of_the_link_is_left_in_the_page(page: Page) -> None:
    expect(page.get_by_text("Deployment").first).to_be_visible(timeout=SECONDS)
    assert "code" not in page.evaluate("JSON.stringify([history.state, document.referrer, document.cookie])")


@pytest.mark.slow
def test_the_browser_shows_every_asset_and_the_materialized_partition(
    seeded: LabEnvironment, page: Page, tmp_path: Path
) -> None:
    visit(page, "/asset-groups/")
    expect(page.get_by_text("upstream").first).to_be_visible(timeout=SECONDS)
    # Groups are shown collapsed.
    page.keyboard.press("Alt+e")
    for asset in ASSETS:
        expect(page.get_by_text(asset, exact=True).first).to_be_visible(timeout=SECONDS)
    page.screenshot(path=tmp_path / "graph.png")

    visit(page, f"/assets/published_contract?view=partitions&partition={RELEASE}")
    expect(page.get_by_text(re.compile("record_digest")).first).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text(RELEASE).first).to_be_visible(timeout=SECONDS)

    visit(page, "/assets/hetzner_image?view=checks")
    expect(page.get_by_text("lineage_holds").first).to_be_visible(timeout=SECONDS)
    page.screenshot(path=tmp_path / "checks.png")
    visit(page, "/runs")
    expect(page.get_by_text("build_record").first).to_be_visible(timeout=SECONDS)
    page.screenshot(path=tmp_path / "runs.png")

    built = seeded.instance.get_runs(dg.RunsFilter(job_name="build_record"), limit=1)[0].run_id
    for where in ("/locations/hyops_assets/jobs/build_record/runs", f"/runs/{built}"):
        visit(page, where)
        expect(page.get_by_text(built[:8]).first).to_be_visible(timeout=SECONDS)
    page.get_by_role("button", name=re.compile("Re-execute all")).click()
    page.wait_for_url(lambda url: "/runs/" in url and built not in url, timeout=SECONDS)
    repeated = seeded.instance.get_runs(dg.RunsFilter(job_name="build_record"), limit=1)[0]
    assert (repeated.parent_run_id, is_by_shell(repeated)) == (built, False)
    page.screenshot(path=tmp_path / "repeated.png")


@pytest.mark.slow
def test_only_the_real_page_starts_a_run(seeded: LabEnvironment, ui: Ui, page: Page) -> None:
    def runs() -> int:
        return seeded.instance.get_runs_count()

    before = runs()
    with foreign_site(ui) as attack:
        other = page.context.new_page()
        other.goto(attack)
        other.wait_for_function("document.title === 'sent'")
        assert [frame.url for frame in other.frames[1:]] == ["chrome-error://chromewebdata/"]
        other.close()
    body = json.dumps({"query": LAUNCH, "variables": VARIABLES})
    posted = ("-H", "Content-Type: application/json", "-d", body)
    assert curl(ui, *posted) == "401"
    assert curl(ui, *posted, "-H", "Host: rebound.example:3000") == "421"
    assert curl(ui, "-G", "--data-urlencode", f"query={LAUNCH}") == "401"
    assert runs() == before

    answered = page.evaluate(
        """async (body) => { const answer = await fetch("/graphql", { method: "POST", body,
        headers: { "Content-Type": "application/json" } }); return await answer.json() }""",
        body,
    )
    assert answered["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", answered
    wait_until("the run is there", lambda: runs() == before + 1, within=30)
