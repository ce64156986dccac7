"""The UI in a real browser: every asset in its group, and what the shell materialized."""

import re
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from hyops_assets.assets.executing import is_by_shell
from hyops_assets.cli.instance import environment_of
from tests.assets.house import RELEASE, House
from tests.ui.served import Ui, serving, ui_alone

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


def open_graph(page: Page, ui: Ui) -> None:
    page.goto(f"{ui.url}/asset-groups/")
    expect(page.get_by_text("upstream").first).to_be_visible(timeout=SECONDS)
    # Groups are shown collapsed.
    page.keyboard.press("Alt+e")


@pytest.mark.slow
def test_the_browser_shows_every_asset_and_the_materialized_partition(
    released: House, page: Page, tmp_path: Path
) -> None:
    with serving(ui_alone(), environment_of(released.root), released.root, tmp_path / "webserver.log") as ui:
        page.goto(ui.link())
        open_graph(page, ui)
        for asset in ASSETS:
            expect(page.get_by_text(asset, exact=True).first).to_be_visible(timeout=SECONDS)
        page.screenshot(path=tmp_path / "graph.png")

        page.goto(f"{ui.url}/assets/published_contract?view=partitions&partition={RELEASE}")
        expect(page.get_by_text(re.compile("record_digest")).first).to_be_visible(timeout=SECONDS)
        expect(page.get_by_text(RELEASE).first).to_be_visible(timeout=SECONDS)

        page.goto(f"{ui.url}/assets/hetzner_image?view=checks")
        expect(page.get_by_text("lineage_holds").first).to_be_visible(timeout=SECONDS)
        page.screenshot(path=tmp_path / "checks.png")
        page.goto(f"{ui.url}/runs")
        expect(page.get_by_text("build_record").first).to_be_visible(timeout=SECONDS)
        page.screenshot(path=tmp_path / "runs.png")

        built = released.instance.get_runs(dg.RunsFilter(job_name="build_record"), limit=1)[0].run_id
        for where in ("locations/hyops_assets/jobs/build_record/runs", f"runs/{built}"):
            page.goto(f"{ui.url}/{where}")
            expect(page.get_by_text(built[:8]).first).to_be_visible(timeout=SECONDS)
        page.get_by_role("button", name=re.compile("Re-execute all")).click()
        page.wait_for_url(lambda url: "/runs/" in url and built not in url, timeout=SECONDS)
        repeated = released.instance.get_runs(dg.RunsFilter(job_name="build_record"), limit=1)[0]
        assert (repeated.parent_run_id, is_by_shell(repeated)) == (built, False)
        page.screenshot(path=tmp_path / "repeated.png")
        page.close()
