"""A host that lacks something: the run says what, nothing is half published, and once it is there a rerun goes on."""

import os
from pathlib import Path

import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.image import programs
from tests.assets.environment import RELEASE, LabEnvironment
from tests.full_disk import file_size_limit

RECORD = f"network/vyos/vyos-1.5-{RELEASE}.record.json"


def host_without(program: str, directory: Path) -> Path:
    """A directory with every program of this host but one."""
    directory.mkdir()
    for there in programs._PATH.split(":"):
        for found in Path(there).iterdir() if Path(there).is_dir() else ():
            if found.name != program and not os.path.lexists(directory / found.name):
                (directory / found.name).symlink_to(found)
    return directory


def nothing_is_half_done(home: LabEnvironment) -> bool:
    scratch = home.root.artifacts / "scratch"
    return (
        home.published() == {}
        and list(home.root.states.rglob("*.json")) == []
        and (not scratch.exists() or list(scratch.iterdir()) == [])
        # A download may be resumed; anything else that was begun is gone.
        and [left for left in home.root.path.rglob("*.partial") if left.parent != home.root.artifacts / "cache/iso"]
        == []
    )


@pytest.mark.slow
def test_without_a_program_nothing_is_half_published_and_a_run_goes_on_once_it_is_there(
    home: LabEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that reads the ISO, one that makes the disk, and one that looks at what was made."""
    for program, package in (("xorriso", "xorriso"), ("mkfs.ext4", "e2fsprogs"), ("xz", "xz-utils")):
        with monkeypatch.context() as host:
            host.setattr(programs, "_PATH", str(host_without(program, tmp_path / program)))
            with pytest.raises(RunFailed, match=rf"{program} is not installed\n.*apt-get install {package}"):
                home.graph().build(RELEASE)
        assert nothing_is_half_done(home), program
    ran = home.graph().build(RELEASE)
    assert ran.metadata["vyos_iso"]["outcome"] == "adopted"
    assert RECORD in home.published()


@pytest.mark.slow
def test_a_full_disk_is_said_leaves_nothing_and_a_rerun_with_room_succeeds(home: LabEnvironment) -> None:
    for size_bytes, step in ((6 << 20, "vyos_iso"), (64 << 20, "qcow2_record")):
        with pytest.raises(RunFailed, match=f"{step}: NoSpace: no space left at"), file_size_limit(size_bytes):
            home.graph().build(RELEASE)
        assert nothing_is_half_done(home), step
    home.graph().build(RELEASE)
    assert RECORD in home.published()
