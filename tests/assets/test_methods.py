"""A command's disk in the whole graph: it passes the gates of every disk, or it is not published."""

from pathlib import Path
from typing import Any

import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.contract.evidence import Contract, Evidence
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.intake.iso import open_iso
from hyops_assets.image.methods.native import build_native
from hyops_assets.image.programs import run
from hyops_assets.lab.miniature import MadeIso
from resources.artifacts.store import ArtifactStore
from tests.assets.house import DISK_BYTES, RELEASE, House

TAKE = 'cp --sparse=always {disk} "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"'


@pytest.fixture(scope="module")
def installed(miniature: MadeIso, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a builder of somebody else's installs: VyOS, and nothing of ours."""
    directory = tmp_path_factory.mktemp("installed")
    opened = open_iso(miniature.iso, release=RELEASE, scratch=directory)
    disk = directory / "installed.raw"
    build_native(opened, Tree(), disk_bytes=DISK_BYTES, console="ttyS0", destination=disk, scratch=directory)
    return disk


@pytest.fixture
def grub_less(installed: Path, tmp_path: Path) -> Path:
    """The same disk without boot code: what vyos-vm-images leaves of today's releases."""
    disk = tmp_path / "grub-less.raw"
    run(["cp", "--sparse=always", installed, disk])
    with disk.open("r+b") as file:
        file.write(bytes(440))
    return disk


def by_command(home: House, line: str, **command: Any) -> None:
    configured = {"build_command": line, "build_workdir": str(home.root.path), **command}
    build = {**home.settings.build.model_dump(), "method": "command", "command": configured}
    home.configure(build=type(home.settings.build).model_validate(build))


def evidence_of(home: House) -> Evidence:
    contract = ArtifactStore(home.root.artifacts).read_document("published_contract", RELEASE, Contract)
    name = contract.evidence_url.rsplit("/", 1)[-1]
    return Evidence.model_validate_json((home.lab.files.objects / "network" / "vyos" / name).read_bytes())


def nothing_is_public(home: House) -> bool:
    return home.published() == {} and list(home.root.states.rglob("*.json")) == []


def test_a_commands_disk_that_passes_every_gate_is_published_and_its_evidence_says_how_it_was_made(
    home: House, installed: Path
) -> None:
    by_command(home, TAKE.format(disk=installed))
    home.graph().build(RELEASE)
    evidence = evidence_of(home)
    assert (evidence.build["method"], evidence.build["reproducible"]) == ("command", False)
    assert all(gate.passed for gate in evidence.gates)
    assert f"network/vyos/vyos-1.5-{RELEASE}.record.json" in home.published()


def test_a_commands_disk_without_grub_is_stopped_by_the_gate_of_that_name(home: House, grub_less: Path) -> None:
    by_command(home, TAKE.format(disk=grub_less))
    with pytest.raises(RunFailed, match="starts_under_bios"):
        home.graph().build(RELEASE)
    assert nothing_is_public(home)


@pytest.mark.slow
def test_a_complete_commands_disk_gets_nothing_from_us_and_lacks_cloud_init(home: House, installed: Path) -> None:
    by_command(home, TAKE.format(disk=installed), complete=True)
    with pytest.raises(RunFailed):
        home.graph().build(RELEASE)
    assert nothing_is_public(home)


def test_what_an_earlier_run_left_is_refused(home: House, installed: Path) -> None:
    by_command(home, f'ln -s {installed} "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"')
    with pytest.raises(RunFailed, match=r"no file of its own at \$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"):
        home.graph().build(RELEASE)
    assert nothing_is_public(home)


@pytest.mark.slow
def test_what_may_have_been_emulated_passes_every_gate_and_is_not_published(home: House, installed: Path) -> None:
    by_command(home, TAKE.format(disk=installed), allow_tcg=True)
    with pytest.raises(RunFailed, match=r"published_contract.*for debugging only"):
        home.graph().build(RELEASE)
    assert nothing_is_public(home)
