"""The boot gate of a host: under emulation guests take turns, whichever process boots them."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import dagster as dg
import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.image.boot.accelerator import Accelerator
from hyops_assets.image.boot.together import alone, together
from hyops_assets.image.boot.turns import turn
from hyops_assets.image.programs import run
from hyops_assets.settings.build import BuildSettings
from hyops_assets.settings.pipeline import Settings
from resources.boot import BootGate, host_boot_gate
from resources.environment import environment
from resources.settings import save_settings

pytestmark = pytest.mark.seconds

SILENT_GUEST = bytes.fromhex("faf4ebfd")
FOR_EVER = (
    "import sys; from pathlib import Path\n"
    "from hyops_assets.image.boot.accelerator import Accelerator\n"
    "from hyops_assets.image.boot.together import alone\n"
    "from resources.boot import BootGate\n"
    "disk, scratch, locks = map(Path, sys.argv[1:])\n"
    "alone(BootGate(locks=locks, emulated_at_once=1, probe=lambda: Accelerator('tcg', 'test')).booting(\n"
    "    disk, release='x', firmware='bios', timeout=600, scratch=scratch,\n"
    "    progress=lambda *_: print('on', flush=True)))"
)


def gate(locks: Path, kind: Literal["kvm", "tcg"] = "tcg", *, at_once: int = 1) -> BootGate:
    return BootGate(locks=locks, emulated_at_once=at_once, probe=lambda: Accelerator(kind, "test"))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk whose guest prints nothing and never ends."""
    raw, made = tmp_path / "disk.raw", tmp_path / "disk.qcow2"
    raw.write_bytes(SILENT_GUEST.ljust(510, b"\0") + b"\x55\xaa")
    os.truncate(raw, 1 << 20)
    run(["qemu-img", "convert", "-O", "qcow2", raw, made])
    return made


def test_a_second_process_boots_once_the_first_is_gone_and_its_time_begins_then(disk: Path, tmp_path: Path) -> None:
    locks, stages = tmp_path / "locks", []
    argv = [sys.executable, "-c", FOR_EVER, disk, tmp_path, locks]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        # SeaBIOS prints: the guest is on.
        assert other.stdout.readline() == b"on\n"

        def progress(stage: str, done: int, total: int | None) -> None:
            stages.append(stage)
            if len(stages) == 2:
                other.kill()

        passed, detail = alone(
            gate(locks).booting(disk, release="x", firmware="bios", timeout=3, scratch=tmp_path, progress=progress)
        )
    assert [stage.partition(" (")[0] for stage in stages[:2]] == [f"wait for the guest of process {other.pid}"] * 2
    assert stages[-1] == "boot bios"
    powered = next(stage for stage in stages if stage.startswith("power on"))
    assert powered.startswith("power on the disk under BIOS: emulated (tcg), usually 1 to 5 minutes, given up after")
    assert not passed
    assert "no proof before the time ran out" in str(detail["failure"])


def test_under_kvm_and_within_the_limit_no_guest_waits(disk: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    locks = tmp_path / "locks"
    with turn(locks, at_once=1):
        for able in (gate(locks, "kvm"), gate(locks, at_once=2)):
            alone(
                able.booting(
                    disk,
                    release="x",
                    firmware="bios",
                    timeout=1,
                    scratch=tmp_path,
                    progress=lambda stage, *_: stages.append(stage),
                )
            )
    assert [stage for stage in stages if stage.startswith("wait")] == []


def test_the_limit_is_a_setting_of_the_environment(tmp_path: Path) -> None:
    root = RuntimeRoot(tmp_path / "root")
    limits = []
    for build in (BuildSettings(), BuildSettings(emulated_guests_at_once=3)):
        save_settings(root, Settings(build=build), heading="test")
        with dg.build_resources({"environment": environment(root), "boot_gate": host_boot_gate()}) as resources:
            limits.append(resources.boot_gate.emulated_at_once)
    assert limits == [2, 3]


def test_the_guests_of_one_check_run_side_by_side_and_an_error_of_one_ends_both(disk: Path, tmp_path: Path) -> None:
    """Each is on before the other ends: the second one's first output raises while the first is still running."""
    on: list[str] = []

    class Cancelled(Exception):
        pass

    def first(stage: str, *_: object) -> None:
        on.append(stage)

    def second(stage: str, *_: object) -> None:
        on.append(stage)
        if {"boot bios", "boot uefi"} <= set(on):
            raise Cancelled

    shared = gate(tmp_path / "locks", at_once=2)
    with pytest.raises(Cancelled):
        together(
            [
                shared.booting(disk, release="x", firmware="bios", timeout=600, scratch=tmp_path, progress=first),
                shared.booting(disk, release="x", firmware="uefi", timeout=600, scratch=tmp_path, progress=second),
            ]
        )
    assert list(tmp_path.glob("boot-*")) == []
    with turn(tmp_path / "locks", at_once=1), pytest.raises(BlockingIOError):
        _hold(tmp_path / "locks" / "boot-0.lock")
    _hold(tmp_path / "locks" / "boot-1.lock")


def _hold(lock: Path) -> None:
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
