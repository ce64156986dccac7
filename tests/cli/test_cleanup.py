"""`hyops cleanup` as a user runs it: a plan changes nothing, apply removes what is provably ours and unused."""

import json
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.contract.documents import SeededAt
from hyops_assets.settings.upkeep import UpkeepSettings
from hyops_lab.cli.lab import SITE
from hyops_lab.hetzner.project import Image
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli.shell import hyops
from tests.clouds import hetzner_seed

OLD = "2026.03.01-0027-rolling"
IMAGE_STATE = "core__hetzner__vyos-image-seed/latest.json"


def cleanup(home: LabEnvironment, *words: str) -> subprocess.CompletedProcess[str]:
    return hyops(os.environ, "cleanup", "--root", home.root.path, *words)


def record(home: LabEnvironment, name: str) -> list[dict[str, Any]]:
    """The findings that the newest run record holds."""
    newest = max((home.root.path / "logs" / "cleanup").iterdir(), key=lambda path: path.stat().st_mtime)
    return json.loads((newest / name).read_text())["findings"]


def reasons(home: LabEnvironment) -> str:
    """Why the newest cleanup judged as it did: the table that it prints breaks long lines."""
    return "\n".join(str(finding["why"]) for finding in record(home, "result.json"))


def verdict(findings: list[dict[str, Any]], what: str) -> str:
    (found,) = [finding["verdict"] for finding in findings if what in finding["what"]]
    return found


@pytest.fixture
def superseded(seeded: LabEnvironment) -> int:
    """The id of a snapshot of an older version, as a seed left it three months ago."""
    seeded.configure(upkeep=UpkeepSettings(keep=0))
    project = seeded.lab.hetzner.project
    current = next(image for image in project.contents.images.values() if image.labels.get("hyops_role") == "image")
    id_ = project.new_id()
    labels = current.labels | {"hyops_image_version": OLD}
    changes = {"id": id_, "labels": labels, "description": f"hyops-vyos-1.5-{OLD}"}
    project.contents.images[id_] = Image.model_validate(
        current.model_dump() | changes | {"created": datetime.fromtimestamp(time.time() - 90 * 86400, UTC)}
    )
    document = SeededAt(site=SITE, ref=str(id_), version=OLD, record_digest="ab" * 32, disk_sha256="ab" * 32)
    ArtifactStore(seeded.root.artifacts).write_document("hetzner_image", hetzner_seed(SITE, OLD), document)
    return id_


def snapshots(home: LabEnvironment) -> list[int]:
    images = home.lab.hetzner.project.contents.images.values()
    return sorted(image.id for image in images if image.kind == "snapshot")


def test_a_plan_tells_and_changes_nothing_and_apply_does_it(seeded: LabEnvironment, superseded: int) -> None:
    before = seeded.mutations()
    planned = cleanup(seeded)
    assert planned.returncode == 0, planned
    assert "plan: nothing is changed" in planned.stdout
    assert f"superseded by {RELEASE}" in planned.stdout
    assert planned.stdout.rstrip().endswith(f"hyops cleanup --root {seeded.root.path} --apply")
    assert (seeded.mutations(), superseded in snapshots(seeded)) == (before, True)
    assert verdict(record(seeded, "plan.json"), f"({superseded})") == "remove"

    applied = cleanup(seeded, "--apply")
    assert applied.returncode == 0, applied
    assert superseded not in snapshots(seeded)
    assert len(snapshots(seeded)) == 1
    assert verdict(record(seeded, "result.json"), f"({superseded})") == "removed"
    store = ArtifactStore(seeded.root.artifacts)
    assert store.list_names("hetzner_image") == [str(hetzner_seed(SITE, RELEASE))]

    again = cleanup(seeded, "--apply")
    assert again.returncode == 0
    assert {finding["verdict"] for finding in record(seeded, "result.json")} == {"keep", "by hand"}


def test_what_the_states_name_stays_and_the_older_leftovers_on_a_node_are_named_with_commands(
    seeded: LabEnvironment,
) -> None:
    seeded.configure(upkeep=UpkeepSettings(keep=0, keep_days=0))
    assert cleanup(seeded, "--apply").returncode == 0
    findings = record(seeded, "result.json")
    assert verdict(findings, "template vyos-1-5-") == "keep"
    assert verdict(findings, "snapshot hyops-vyos-1.5-") == "keep"
    by_hand = {finding["what"]: finding["why"] for finding in findings if finding["verdict"] == "by hand"}
    assert (
        "rm -i /var/lib/vz/snippets/hyops-vyos-smoke-*"
        in by_hand["HybridOps' /var/lib/vz/snippets/hyops-vyos-smoke-*"]
    )
    assert "umount /var/tmp/hyops-vyos-smoke-mnt-*" in by_hand["HybridOps' /var/tmp/hyops-vyos-smoke-mnt-*"]


def test_an_active_state_that_is_missing_or_broken_keeps_everything_and_ends_with_1(
    seeded: LabEnvironment, superseded: int
) -> None:
    path = seeded.root.states / IMAGE_STATE
    kept = path.read_bytes()
    try:
        path.unlink()
        missing, of_missing = cleanup(seeded, "--apply"), reasons(seeded)
        path.write_bytes(b"{")
        broken, of_broken = cleanup(seeded, "--apply"), reasons(seeded)
    finally:
        path.write_bytes(kept)
    assert (missing.returncode, broken.returncode) == (1, 1)
    assert "is missing" in of_missing
    assert "is no module state" in of_broken
    assert superseded in snapshots(seeded)
    assert cleanup(seeded, "--apply").returncode == 0
    assert superseded not in snapshots(seeded)


def test_a_site_that_cannot_be_reached_stops_no_other_and_ends_with_1(
    seeded: LabEnvironment, superseded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(seeded.settings.proxmox_site(SITE).token_env, "wrong")
    ran = cleanup(seeded, "--apply")
    assert ran.returncode == 1
    assert superseded not in snapshots(seeded)
    findings = record(seeded, "result.json")
    assert verdict(findings, "superseded templates") == "unknown"


def test_no_secret_is_printed_or_kept(seeded: LabEnvironment) -> None:
    token = os.environ[seeded.settings.hetzner_site(SITE).token_env]
    ran = cleanup(seeded)
    assert token not in ran.stdout + ran.stderr
    for path in (seeded.root.path / "logs" / "cleanup").rglob("*.json"):
        assert token not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [((), 2, "no environment is named"), (("--root", "{nowhere}"), 2, "there is no environment in")],
)
def test_an_environment_is_named_and_is_there(tmp_path: Path, words: tuple[str, ...], status: int, said: str) -> None:
    named = [word.format(nowhere=tmp_path / "nowhere") for word in words]
    ran = hyops({"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, "cleanup", *named)
    assert (ran.returncode, said in ran.stderr) == (status, True), ran
    assert list(tmp_path.iterdir()) == []
