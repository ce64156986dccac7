"""Programs on bytes from elsewhere: each limit ends them, and none of them is started without limits."""

import ast
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import hyops_assets
from hyops_assets.image.bounded import Limits, lines_of, run_bounded, stream_bounded
from hyops_assets.image.budget import Budget, OverBudget
from hyops_assets.image.programs import MissingProgram, ProgramFailed
from tests.full_disk import file_size_limit


def ended(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def test_a_program_within_its_limits_gives_all_it_prints() -> None:
    said: list[str] = []
    words = ["sh", "-c", "cat; echo aside >&2; exit 3"]
    with closing(stream_bounded(words, limits=Limits(), stdin=b"in\n", ok=(3,), said=said.append)) as pieces:
        assert b"".join(pieces) == b"in\n"
    assert said == ["aside\n"]


def test_a_program_may_print_and_complain_at_length(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(content)
    words = ["sh", "-c", "head -c 300000 /dev/zero >&2; cat file"]
    with closing(stream_bounded(words, limits=Limits(output_bytes=3 << 20), cwd=tmp_path)) as pieces:
        assert b"".join(pieces) == content


def test_a_program_ends_with_what_reads_it(tmp_path: Path) -> None:
    words = ["sh", "-c", "echo $$ > pid; exec yes"]
    with closing(stream_bounded(words, limits=Limits(output_bytes=1 << 30), cwd=tmp_path)) as pieces:
        assert next(pieces).startswith(b"y\n")
    assert ended(tmp_path / "pid")


def test_a_program_that_fails_tells_its_last_words_after_its_output() -> None:
    printed: list[bytes] = []
    with pytest.raises(ProgramFailed, match=r"(?s)status 3.*trouble"):
        printed.extend(stream_bounded(["sh", "-c", "echo output; echo trouble >&2; exit 3"], limits=Limits()))
    assert printed == [b"output\n"]


def test_a_program_that_fails_tells_its_last_words() -> None:
    with pytest.raises(ProgramFailed, match=r"(?s)status 3.*trouble"):
        run_bounded(["sh", "-c", "echo trouble >&2; exit 3"], limits=Limits())
    with pytest.raises(MissingProgram, match="no-such-program"):
        run_bounded(["no-such-program"], limits=Limits())


ENDLESS = {
    "processor time": ("while :; do :; done", Limits(seconds=1), "sh takes more than the 1 seconds of a processor"),
    "time": ("exec sleep 600", Limits(wall_seconds=0.5), "sh takes more than the 0 seconds"),
    "silence": ("exec >&- 2>&-; exec sleep 600", Limits(wall_seconds=0.5), "sh takes more than the 0 seconds"),
    "output": ("exec yes", Limits(output_bytes=1 << 16), "what sh prints takes more than the 65536 bytes"),
    "complaints": ("exec yes >&2", Limits(), "what sh complains of takes more than"),
    "a file": ("exec yes > file", Limits(file_bytes=1 << 16), "a file that sh writes takes more than the 65536 bytes"),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_program_without_end_is_ended(case: str, tmp_path: Path) -> None:
    command, limits, why = ENDLESS[case]
    with pytest.raises(OverBudget, match=why):
        run_bounded(["sh", "-c", f"echo $$ > pid; {command}"], limits=limits, cwd=tmp_path)
    assert ended(tmp_path / "pid")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1 << 17


def test_a_program_gets_no_more_memory() -> None:
    with pytest.raises(ProgramFailed, match="memory"):
        run_bounded(["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"], limits=Limits(memory_bytes=64 << 20))


def test_a_limit_of_the_hosts_own_is_kept_and_is_not_taken_for_ours(tmp_path: Path) -> None:
    with file_size_limit(1 << 16), pytest.raises(ProgramFailed, match="SIGXFSZ"):
        run_bounded(["sh", "-c", "exec yes > file"], limits=Limits(file_bytes=1 << 20), cwd=tmp_path)
    assert (tmp_path / "file").stat().st_size <= 1 << 16


def test_a_waiting_caller_stops_a_program_by_raising(tmp_path: Path) -> None:
    def cancel() -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run_bounded(["sh", "-c", "echo $$ > pid; exec sleep 60"], limits=Limits(), cwd=tmp_path, waiting=cancel)
    assert ended(tmp_path / "pid")


def test_what_waits_is_asked_until_the_program_ends_and_loses_nothing_of_what_it_prints() -> None:
    asked: list[None] = []
    words = ["sh", "-c", "cat; sleep 0.5; echo end"]
    said = run_bounded(words, limits=Limits(), stdin=b"in\n", waiting=lambda: asked.append(None))
    assert said.text == "in\nend\n"
    assert len(asked) > 1


def test_a_program_that_is_waited_for_still_runs_out_of_time() -> None:
    with pytest.raises(OverBudget, match="sleep takes more than the 0 seconds"):
        run_bounded(["sleep", "60"], limits=Limits(wall_seconds=0.5), waiting=lambda: None)


def test_programs_and_what_they_print_are_paid_for_from_one_budget() -> None:
    budget = Budget(size_bytes=6, programs=2)
    run_bounded(["echo", "12"], limits=Limits(), budget=budget)
    assert (budget.left("bytes"), budget.left("programs")) == (3, 1)
    assert budget.left("seconds") < Budget().left("seconds")
    with pytest.raises(OverBudget, match="what echo prints takes more than the 6 bytes"):
        run_bounded(["echo", "12345"], limits=Limits(), budget=budget)


def test_lines_come_as_they_are_printed_and_none_is_endless() -> None:
    pieces = iter([b"one\ntw", b"o\n\nend"])
    assert list(lines_of(pieces, most_bytes=10)) == [b"one", b"two", b"", b"end"]
    with pytest.raises(OverBudget, match="one line of a listing"):
        list(lines_of([b"x" * 6, b"x" * 6], most_bytes=10))


READERS = frozenset(
    {
        *("unsquashfs", "debugfs", "e2fsck", "dumpe2fs", "mdir", "mcopy", "mtype", "qemu-img", "xz", "unxz", "zstd"),
        *("xorriso", "osirrox", "isoinfo", "7z", "bsdtar", "tar", "dpkg-deb", "ar", "sgdisk", "fsck.fat", "fsck.vfat"),
    }
)
OWN_BYTES = {("disk/ext4.py", "debugfs"), ("disk/esp.py", "mcopy"), ("boot/nocloud.py", "xorriso")}
"""They fill what was made a moment before, by the same function."""


def unbounded_readers(source: str) -> Iterator[str]:
    """Yield each program that a module starts with `run` or `running`, as far as its name is written."""
    module = ast.parse(source)
    values = {
        target.id: node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def first_word(node: ast.expr | None, depth: int = 4) -> str | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if not depth:
            return None
        if isinstance(node, ast.Name):
            return first_word(values.get(node.id), depth - 1)
        if isinstance(node, ast.Starred):
            return first_word(node.value, depth - 1)
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            return first_word(node.elts[0], depth - 1)
        return None

    for node in ast.walk(module):
        if isinstance(node, ast.Call) and node.args:
            named = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if named in ("run", "running", "Popen", "check_output") and (word := first_word(node.args[0])):
                yield word


def test_no_program_reads_bytes_from_elsewhere_without_limits() -> None:
    package = Path(next(iter(hyops_assets.__path__)))
    found = {
        (str(path.relative_to(package / "image")), word)
        for path in sorted((package / "image").rglob("*.py"))
        for word in unbounded_readers(path.read_text())
        if word in READERS
    }
    assert found == OWN_BYTES


def test_a_reader_without_limits_is_found_however_it_is_written() -> None:
    source = 'W = ("xz", "-d")\nrun([*W, 1])\nwords = ["mdir"]\nprograms.running(words)\nrun(["e2fsck", 1])\n'
    assert sorted(unbounded_readers(source)) == ["e2fsck", "mdir", "xz"]
