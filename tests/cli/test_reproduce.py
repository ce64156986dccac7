"""`hyops reproduce`: what is published is built again from ISO and lock, elsewhere, without a package archive."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.build import AptSource, BuildSettings
from hyops_lab.miniature import MadeIso, Oddities, make_miniature
from hyops_lab.signing import LabKey
from resources.artifacts.store import ArtifactStore
from resources.settings import save_settings
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli.shell import hyops

Reproduce = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def elsewhere(tmp_path: Path, seeded: LabEnvironment, packages: AptSource) -> RuntimeRoot:
    """Another environment, which trusts the same key, has the .debs, and no archive that would answer."""
    root = RuntimeRoot(tmp_path / "elsewhere")
    closed = packages.model_copy(update={"line": "deb [arch=amd64] http://127.0.0.1:9/ bookworm main"})
    settings = seeded.settings.model_copy(update={"build": BuildSettings(apt_sources=[closed], disk_bytes=8 << 30)})
    save_settings(root, settings, heading="test")
    shutil.copytree(seeded.root.artifacts / "cache" / "packages", root.artifacts / "cache" / "packages")
    return root


@pytest.fixture
def evidence_url(seeded: LabEnvironment) -> str:
    return ArtifactStore(seeded.root.artifacts).read_document("published_contract", RELEASE, Contract).evidence_url


@pytest.fixture
def reproduce(elsewhere: RuntimeRoot, tmp_path: Path) -> Reproduce:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "HOME": str(tmp_path), "TZ": "Asia/Kathmandu"}
        return hyops(environ, "reproduce", *words, "--root", elsewhere.path, within=240, umask=0o077)

    return run


def changed(seeded: LabEnvironment, url: str, directory: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The published evidence with something changed in it, as a file."""
    evidence = json.loads(next(content for name, content in seeded.published().items() if url.endswith(name)))
    change(evidence)
    path = directory / "evidence.json"
    path.write_text(json.dumps(evidence))
    return path


def test_a_published_record_is_built_again_to_the_same_bytes(
    reproduce: Reproduce, evidence_url: str, miniature: MadeIso, elsewhere: RuntimeRoot
) -> None:
    done = reproduce(evidence_url, "--iso", miniature.iso)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("identical") == 4
    assert list((elsewhere.artifacts / "scratch").iterdir()) == []


def test_the_iso_is_asked_for_where_it_is_not_in_the_store(reproduce: Reproduce, evidence_url: str) -> None:
    done = reproduce(evidence_url)
    assert done.returncode == 1
    assert "give it with --iso" in done.stderr


def test_another_iso_is_refused(reproduce: Reproduce, evidence_url: str, tmp_path: Path) -> None:
    other = make_miniature(tmp_path / "other", RELEASE, LabKey.generate(), oddities=Oddities(payload_bytes=1 << 20))
    done = reproduce(evidence_url, "--iso", other.iso)
    assert done.returncode == 1
    assert "the ISO here is" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda evidence: evidence["record"]["disk"].update(sha256="0" * 64), "the record here is"),
        (lambda evidence: evidence["build"]["package_lock"]["packages"].pop(), "the package lock here is"),
        (lambda evidence: evidence["build"]["recipe"].update(helper_sha256="0" * 64), "the helper here is"),
        (lambda evidence: evidence["build"]["recipe"].update(builder="0"), "the builder here is"),
        (lambda evidence: evidence["build"]["recipe"].update(method="packer"), "gives other bytes each time"),
        (lambda evidence: evidence["build"].pop("recipe"), "holds no recipe"),
        (lambda evidence: evidence.update(iso=None), "built elsewhere"),
        (lambda evidence: evidence.pop("gates"), "is no evidence"),
    ],
    ids=["record", "lock", "helper", "builder", "method", "no-recipe", "registered", "no-evidence"],
)
def test_evidence_that_cannot_be_built_from_is_refused_before_anything_is_built(
    reproduce: Reproduce,
    seeded: LabEnvironment,
    evidence_url: str,
    miniature: MadeIso,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    said: str,
) -> None:
    done = reproduce(changed(seeded, evidence_url, tmp_path, change), "--iso", miniature.iso)
    assert done.returncode == 1
    assert said in done.stderr
    assert "  next: " in done.stderr


def test_another_result_is_named_part_by_part(
    reproduce: Reproduce, seeded: LabEnvironment, evidence_url: str, miniature: MadeIso, tmp_path: Path
) -> None:
    def other_speed(evidence: dict[str, Any]) -> None:
        evidence["build"]["recipe"]["console_speed"] = 9600
        evidence["build"]["tools"]["mkfs.ext4"] = "0.1"

    done = reproduce(changed(seeded, evidence_url, tmp_path, other_speed), "--iso", miniature.iso)
    assert done.returncode == 1
    assert done.stdout.count("DIFFERS from the published") == 3
    assert "disk, qcow2, raw.xz differ" in done.stderr
    assert "published with 0.1" in done.stderr
