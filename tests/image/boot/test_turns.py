"""Turns at booting, between processes: one holds, the others wait and say for whom; a dead holder holds nothing."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hyops_assets.image.boot.turns import host_directory, turn
from hyops_assets.image.private import ForeignDirectory
from tests.hetzner_scene import wait_until
from tests.killing import killed_at_each_line

HOLDER = (
    "import sys; from pathlib import Path; from hyops_assets.image.boot.turns import turn\n"
    "with turn(Path(sys.argv[1]), at_once=1, look_every=0.02):\n"
    "    print('holds', flush=True); sys.stdin.readline()\n"
    "sys.stdin.readline()"
)


class Waited(Exception):
    """It had to wait."""


@contextmanager
def holder(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which holds a turn until it is written to or killed."""
    argv = [sys.executable, "-c", HOLDER, directory]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"holds\n"
        try:
            yield process
        finally:
            process.kill()


def refuse(stage: str, done: int, total: int | None) -> None:
    raise Waited(stage)


def test_who_has_to_wait_learns_for_whom_and_takes_its_turn_when_that_one_ends(tmp_path: Path) -> None:
    stages: list[str] = []
    with holder(tmp_path) as other:

        def let_go(stage: str, done: int, total: int | None) -> None:
            if not stages and other.stdin is not None:
                other.stdin.write(b"\n")
                other.stdin.flush()
            stages.append(stage)

        with turn(tmp_path, at_once=1, progress=let_go, look_every=0.02):
            assert other.poll() is None
    assert stages[0] == f"wait for the guest of process {other.pid} (1 at once emulated)"


def test_a_killed_holder_frees_its_turn(tmp_path: Path) -> None:
    killed: list[int] = []
    with holder(tmp_path) as other:

        def kill(stage: str, done: int, total: int | None) -> None:
            other.send_signal(signal.SIGKILL)
            killed.append(other.pid)

        with turn(tmp_path, at_once=1, progress=kill, look_every=0.02):
            assert killed


@pytest.mark.seconds
def test_a_process_killed_at_any_line_leaves_a_turn_that_can_be_taken(tmp_path: Path) -> None:
    from hyops_assets.image.boot import turns

    def work() -> None:
        with turn(tmp_path, at_once=1):
            pass

    for _ in killed_at_each_line(work, turns):
        with turn(tmp_path, at_once=1, progress=refuse):
            pass


def test_there_are_as_many_turns_as_are_said_and_no_more(tmp_path: Path) -> None:
    with ExitStack() as holding:
        for _ in range(2):
            holding.enter_context(turn(tmp_path, at_once=2, progress=refuse))
        for asked in (1, 2):
            with pytest.raises(Waited), turn(tmp_path, at_once=asked, progress=refuse):
                pass
    with turn(tmp_path, at_once=1, progress=refuse):
        pass


def test_what_a_holder_starts_does_not_hold_its_turn(tmp_path: Path) -> None:
    with turn(tmp_path, at_once=1):
        child = subprocess.Popen(["/bin/sleep", "60"], close_fds=False)
    try:
        # The kernel names a program after it has closed what the program does not inherit (execve(2)).
        wait_until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n", within=30)
        with turn(tmp_path, at_once=1, progress=refuse):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_lock_file_that_is_swept_away_is_made_anew(tmp_path: Path) -> None:
    with turn(tmp_path, at_once=1):
        pass
    for lock in tmp_path.iterdir():
        lock.unlink()
    with turn(tmp_path, at_once=1, progress=refuse), pytest.raises(Waited), turn(tmp_path, at_once=1, progress=refuse):
        pass


def test_a_directory_that_is_not_ones_own_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    with pytest.raises(ForeignDirectory, match="is no directory that only user"), turn(link, at_once=1):
        pass
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to(path.with_name("nowhere"))])
def test_what_is_no_directory_in_its_place_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "turns")
    with pytest.raises(ForeignDirectory, match="is no directory that only user"), turn(tmp_path / "turns", at_once=1):
        pass


def test_every_environment_of_a_user_counts_in_one_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = host_directory()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HYOPS_ENV", "other")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert host_directory() == before
