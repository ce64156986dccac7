import os
from contextlib import closing
from pathlib import Path

import pytest

from hyops_assets.image.programs import MissingProgram, ProgramFailed, streaming


def test_a_streamed_program_yields_all_it_prints(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(content)
    assert b"".join(streaming(["cat", tmp_path / "file"])) == content


def test_a_streamed_program_that_fails_tells_its_last_words_after_its_output() -> None:
    printed: list[bytes] = []
    with pytest.raises(ProgramFailed, match=r"(?s)status 3.*trouble"):
        printed.extend(streaming(["sh", "-c", "echo output; echo trouble >&2; exit 3"]))
    assert printed == [b"output\n"]


def test_a_streamed_program_may_complain_at_length_without_stopping() -> None:
    noisy = (
        "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789 >&2; i=$((i+1)); done; echo end"
    )
    assert b"".join(streaming(["sh", "-c", noisy])) == b"end\n"


def test_a_streamed_program_ends_with_whoever_reads_it(tmp_path: Path) -> None:
    with closing(streaming(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec yes"])) as pieces:
        assert next(pieces).startswith(b"y\n")
        pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_streamed_program_that_is_missing_is_named() -> None:
    with pytest.raises(MissingProgram, match="no-such-program"):
        list(streaming(["no-such-program"]))
