"""A command's disk in the whole graph: it passes the gates of every disk, or it is not published."""

from pathlib import Path
from typing import Any

import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.contract.evidence import Evidence
from hyops_assets.image import programs
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.intake.iso import open_iso
from hyops_assets.image.methods.native import build_native
from hyops_lab.miniature import MadeIso
from tests.assets.environment import DISK_BYTES, RELEASE, LabEnvironment
from tests.assets.test_commands import BUILD, contract, run

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
    programs.run(["cp", "--sparse=always", installed, disk])
    with disk.open("r+b") as file:
        file.write(bytes(440))
    return disk


def by_command(home: LabEnvironment, line: str, **command: Any) -> None:
    configured = {"build_command": line, "build_workdir": str(home.root.path), **command}
    build = {**home.settings.build.model_dump(), "method": "command", "command": configured}
    home.configure(build=type(home.settings.build).model_validate(build))


def evidence_of(home: LabEnvironment) -> Evidence:
    name = contract(home).evidence_url.rsplit("/", 1)[-1]
    return Evidence.model_validate_json((home.lab.files.objects / "network" / "vyos" / name).read_bytes())


def nothing_is_public(home: LabEnvironment) -> bool:
    return home.published() == {} and list(home.root.states.rglob("*.json")) == []


@pytest.mark.slow
def test_a_build_command_s_disk_passes_the_same_gates_and_a_smoke_command_is_one_more_that_gets_the_record(
    home: LabEnvironment, installed: Path, tmp_path: Path
) -> None:
    """Commands of the inputs; the disk is a qcow2 with nothing of ours."""
    build = f'qemu-img convert -O qcow2 {installed} "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"'
    smoke = f'env -0 > {tmp_path}/env; echo broken >> "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"; test -s {tmp_path}/env'
    ran = run(home, build_command=build, smoke_verify_command=smoke, smoke_verify_workdir=str(tmp_path))
    assert f"network/vyos/vyos-1.5-{RELEASE}.record.json" in home.published()
    assert home.state(BUILD)["status"] == "ok"
    evidence = evidence_of(home)
    assert (evidence.build["method"], evidence.build["reproducible"]) == ("command", False)
    assert build not in evidence.model_dump_json()
    assert all(gate.passed for gate in evidence.gates)
    assert "smoke_verify_command" in {gate.name for gate in evidence.gates}

    assert ran.metadata["qcow2_record"]["smoke verify command"] == "passed"
    told = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().split("\0") if line)
    assert told["HYOPS_VYOS_ARTIFACT_KEY"] == "vyos-1.5"
    assert told["HYOPS_VYOS_ARTIFACT_VERSION"] == RELEASE
    assert Path(told["HYOPS_VYOS_ARTIFACT_LOCAL_PATH"]).name == f"vyos-1.5-{RELEASE}.qcow2"
    assert told["HYOPS_VYOS_ARTIFACT_SHA256"] == contract(home).record.variants["qcow2"].sha256
    assert not any("TOKEN" in name for name in told)


def test_a_complete_commands_disk_gets_nothing_from_us_and_is_stopped_by_a_gate_for_each_thing_it_lacks(
    home: LabEnvironment, grub_less: Path
) -> None:
    by_command(home, TAKE.format(disk=grub_less), complete=True)
    with pytest.raises(RunFailed) as stopped:
        home.graph().build(RELEASE)
    refused = {name for name, (passed, _) in stopped.value.ran.checks.items() if not passed}
    assert refused >= {"starts_under_bios", "cloud_init_is_enabled"}
    assert nothing_is_public(home)


def test_what_an_earlier_run_left_is_refused(home: LabEnvironment, installed: Path) -> None:
    by_command(home, f'ln -s {installed} "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"')
    with pytest.raises(RunFailed, match=r"no file of its own at \$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"):
        home.graph().build(RELEASE)
    assert nothing_is_public(home)
