"""An attack on the UI that a person has open: another site's page, another user's client, a rebound name.

The same mutation from the real page starts its run: the guard keeps out who asks, not what is asked.
"""

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from hyops_assets.cli.instance import environment_of
from tests.assets.house import House
from tests.ui.served import Ui, serving, ui_alone, wait_until

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


@pytest.mark.slow
def test_only_the_real_page_starts_a_run(released: House, page: Page, tmp_path: Path) -> None:
    def runs() -> int:
        return released.instance.get_runs_count()

    before = runs()
    with serving(ui_alone(), environment_of(released.root), released.root, tmp_path / "ui.log", within=180) as ui:
        page.goto(ui.link())
        assert page.url == f"{ui.url}/"
        expect(page.get_by_text("Deployment").first).to_be_visible(timeout=60_000)
        assert "code" not in page.evaluate("JSON.stringify([history.state, document.referrer, document.cookie])")

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
        page.close()
    written = b"".join(path.read_bytes() for path in (tmp_path / "ui.log", *released.root.path.rglob("*.key")))
    assert written.count(b"code=") == 1, "the link that was printed, and no key that is left"


@pytest.mark.slow
def test_a_ui_that_is_read_only_shows_everything_and_starts_nothing(released: House, tmp_path: Path) -> None:
    with serving(
        ui_alone("--read-only"), environment_of(released.root), released.root, tmp_path / "ui.log", within=180
    ) as ui:
        assert ui.ask("{assetsOrError{__typename}}") == {"assetsOrError": {"__typename": "AssetConnection"}}
        assert ui.ask(LAUNCH, **VARIABLES)["launchRun"]["__typename"] == "UnauthorizedError"
