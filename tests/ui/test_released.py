"""A release that appears upstream while `hyops dev` runs: built, published and seeded with no hand on it."""

import json
import sys
from pathlib import Path

import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_lab.feed import publish
from hyops_lab.iso_layout import built_at
from tests.assets.environment import RELEASE
from tests.assets.ground import Ground
from tests.cli.home import BUILD, SEEDS, Home
from tests.cli.miniature_home import build_as_the_ground, ground_boots
from tests.ui.served import Ui, serving, wait_until

LIMIT = 300.0
"""For what takes ten to forty seconds where the machine has nothing else to do."""


def materialized(ui: Ui, asset: str) -> list[str]:
    """Return the partitions of an asset that were materialized, newest event first."""
    key = json.dumps([asset])
    answer = ui.ask(
        f"{{assetNodeOrError(assetKey: {{path: {key}}}) {{... on AssetNode "
        "{assetMaterializations(limit: 20) {partition}}}}"
    )
    return [event["partition"] for event in answer["assetNodeOrError"]["assetMaterializations"]]


@pytest.mark.slow
def test_a_release_put_into_the_feed_is_built_and_seeded_with_no_hand_on_it(ground: Ground, tmp_path: Path) -> None:
    """The miniature, whose disk has passed its boot gates: one of other bytes is booted, and fails (decision 0006)."""
    home = Home(tmp_path)
    home.hyops("lab", "up", "--release", "", within=120)
    command = [sys.executable, "-m", "tests.unsynced", "dev", "--port", "{port}"]
    try:
        with serving(command, home.environment, RuntimeRoot(home.root), tmp_path / "dev.log", within=LIMIT) as ui:
            build_as_the_ground(home, ground)
            made = ground.miniature
            publish(home.lab.feed, RELEASE, made.iso, made.minisig.read_text(), built_at(RELEASE))
            wait_until("the contract", lambda: RELEASE in materialized(ui, "published_contract"), within=LIMIT)
            for seed in ("proxmox_template", "hetzner_image"):
                wait_until(seed, lambda asset=seed: f"lab|{RELEASE}" in materialized(ui, asset), within=LIMIT)
    finally:
        home.hyops("lab", "down", within=60)
    build, image, template = (home.state(path) for path in (BUILD, *SEEDS))
    assert [build["status"], image["status"], template["status"]] == ["ok", "ok", "ok"]
    assert build["outputs"]["record_version"] == RELEASE
    assert image["outputs"]["image_version"] == RELEASE
    assert template["outputs"]["template_image_version"] == RELEASE
    assert home.boots() == ground_boots(ground)
