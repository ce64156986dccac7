import os
from contextlib import closing
from pathlib import Path

import pytest

from hyops_assets.image import programs
from hyops_assets.image.programs import MissingProgram, ProgramFailed, run, streaming


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
def test_a_program_that_is_missing_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, package: str
) -> None:
    monkeypatch.setattr(programs, "_PATH", str(tmp_path))
    with pytest.raises(MissingProgram, match=rf"{program} is not installed\n.*apt-get install {package}$"):
        run([program, "--version"])


def test_whoever_waits_is_asked_until_the_program_ends_and_loses_nothing_of_what_it_prints() -> None:
    asked: list[None] = []
    said = run(["sh", "-c", "cat; sleep 0.5; echo end"], stdin=b"in\n", waiting=lambda: asked.append(None))
    assert said.text == "in\nend\n"
    assert len(asked) > 1


def test_whoever_waits_stops_a_program_by_raising(tmp_path: Path) -> None:
    def cancel() -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60"], waiting=cancel)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_program_that_is_waited_for_still_runs_out_of_time() -> None:
    with pytest.raises(ProgramFailed, match="did not end within"):
        run(["sleep", "60"], timeout=0.5, waiting=lambda: None)
