import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_assets.image.atomic_write import BeingWritten, replacing


def test_a_file_appears_under_its_name_when_the_block_ends(tmp_path: Path) -> None:
    with replacing(tmp_path / "x") as partial:
        partial.write_bytes(b"new")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_failure_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"former")

    def fail_half_way() -> None:
        with replacing(tmp_path / "x") as partial:
            partial.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert (tmp_path / "x").read_bytes() == b"former"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_second_writer_of_the_same_file_is_refused_and_the_first_one_finishes(tmp_path: Path) -> None:
    with replacing(tmp_path / "x") as partial:
        partial.write_bytes(b"first")
        with pytest.raises(BeingWritten, match="another process"), replacing(tmp_path / "x"):
            pass
    assert (tmp_path / "x").read_bytes() == b"first"


def test_a_killed_writers_leftover_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hyops_assets.image.atomic_write import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_bytes(b'long half of a file'); print('written', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == ["x.partial"]
    with replacing(tmp_path / "x") as partial:
        assert partial.read_bytes() == b""
        partial.write_bytes(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"new"
