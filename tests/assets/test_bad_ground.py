"""A host that lacks something: the run says what, nothing is half published, and once it is there a rerun goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.image import programs
from tests.assets.house import RELEASE, House

RECORD = f"network/vyos/vyos-1.5-{RELEASE}.record.json"


def host_without(program: str, directory: Path) -> Path:
    """A directory with every program of this host but one."""
    directory.mkdir()
    for there in programs._PATH.split(":"):
        for found in Path(there).iterdir() if Path(there).is_dir() else ():
            if found.name != program and not os.path.lexists(directory / found.name):
                (directory / found.name).symlink_to(found)
    return directory


def nothing_is_half_done(home: House) -> bool:
    scratch = home.root.artifacts / "scratch"
    return (
        home.published() == {}
        and list(home.root.states.rglob("*.json")) == []
        and (not scratch.exists() or list(scratch.iterdir()) == [])
        # A download may be resumed; anything else that was begun is gone.
        and [left for left in home.root.path.rglob("*.partial") if left.parent != home.root.artifacts / "cache/iso"]
        == []
    )


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("xorriso", "xorriso"),
        ("unsquashfs", "squashfs-tools"),
        ("apt-get", "apt"),
        ("mkfs.ext4", "e2fsprogs"),
        ("grub-mkimage", "grub-common"),
        ("qemu-img", "qemu-utils"),
        ("xz", "xz-utils"),
    ],
)
def test_a_missing_program_is_named_with_its_package_and_nothing_is_half_published(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, package: str
) -> None:
    monkeypatch.setattr(programs, "_PATH", str(host_without(program, tmp_path / "bin")))
    with pytest.raises(RunFailed, match=rf"{program} is not installed\n.*apt-get install {package}"):
        home.graph().build(RELEASE)
    assert nothing_is_half_done(home)


def test_a_run_goes_on_once_the_program_is_there(home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as host:
        host.setattr(programs, "_PATH", str(host_without("xz", tmp_path / "bin")))
        with pytest.raises(RunFailed):
            home.graph().build(RELEASE)
    ran = home.graph().build(RELEASE)
    assert ran.metadata["vyos_iso"]["outcome"] == "adopted"
    assert RECORD in home.published()


@pytest.mark.parametrize(("size_bytes", "step"), [(6 << 20, "vyos_iso"), (64 << 20, "qcow2_record")])
def test_a_full_disk_is_said_leaves_nothing_and_a_rerun_with_room_succeeds(
    home: House, size_bytes: int, step: str
) -> None:
    cramped = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.assets.cramped", home.root.path, str(size_bytes)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert cramped.returncode == 0, cramped.stderr
    assert f"{step}: NoSpace: no space left at" in cramped.stdout
    assert nothing_is_half_done(home)
    home.graph().build(RELEASE)
    assert RECORD in home.published()
