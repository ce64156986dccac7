import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import benchmarks.__main__ as bench
from benchmarks import machine, rawxz
from benchmarks.comparison import Comparison, print_table
from benchmarks.memory import peak_memory

MIB = 1 << 20


@pytest.mark.seconds
def test_raw_xz_is_compared_on_small_files(tmp_path: Path) -> None:
    encoded, decoded, sized = rawxz.compare_small(tmp_path, quick=True)
    assert min(encoded.ours, encoded.theirs, decoded.ours, decoded.theirs) > 0
    assert sized.met
    assert "no digest" in encoded.included


def test_a_target_is_met_up_to_the_ratio_it_names() -> None:
    assert Comparison("w", "a", ours=2, theirs=10, target=0.2).met
    assert not Comparison("w", "a", ours=2.1, theirs=10, target=0.2).met
    assert not Comparison("w", "a", ours=1, theirs=6, target=0).met


def test_the_table_shows_work_seconds_ratio_and_target_and_what_is_included() -> None:
    text = io.StringIO()
    print_table([Comparison("our work", "their work", 1, 4, 0.5, included="a digest")], Console(file=text, width=120))
    for word in ("our work", "their work", "1.00", "4.00", "0.250", "<= 0.5", "our work: a digest"):
        assert word in text.getvalue()


def test_the_machine_tells_what_computes_its_digests() -> None:
    lines = machine.described()
    assert any("OpenSSL" in line and "SHA" in line for line in lines)
    assert any("xz 5" in line for line in lines)


def test_the_memory_of_a_child_of_a_child_is_seen() -> None:
    inner = f"x = b'x' * {100 * MIB}; import time; print('there', flush=True); input()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    words = [sys.executable, "-c", outer]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with peak_memory(process.pid) as peak:
            process.stdin.write(b"\n")
            process.stdin.close()
            process.wait()
    assert 100 * MIB < peak.bytes < 200 * MIB


def test_a_process_that_is_gone_has_no_memory() -> None:
    with peak_memory(os.getpid() + (1 << 22)) as peak:
        pass
    assert peak.bytes == 0


def test_an_unknown_case_is_refused_with_the_known_ones() -> None:
    app = bench.typer.Typer()
    app.command()(bench.main)
    result = CliRunner().invoke(app, ["--only", "5gib"])
    assert result.exit_code == 2
    assert "3gib" in result.output


@pytest.mark.parametrize(
    "cases",
    [pytest.param(["3gib", "iso"], id="some"), pytest.param(list(bench.CASES), id="all", marks=pytest.mark.long)],
)
@pytest.mark.slow
def test_the_command_runs_every_case_that_is_asked_for_and_prints_one_table(cases: list[str]) -> None:
    app = bench.typer.Typer()
    app.command()(bench.main)
    result = CliRunner().invoke(app, ["--quick", *(word for case in cases for word in ("--only", case))])
    assert result.exit_code == 0, result.output
    assert result.output.count("ratio") == 1
    assert "different: none" in result.output
