import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import benchmarks.__main__ as bench
from benchmarks import rawxz
from benchmarks.comparison import Comparison, print_table


def test_raw_xz_is_compared_on_small_files_in_seconds(tmp_path: Path) -> None:
    encoded, decoded, sized = rawxz.compare(tmp_path, quick=True)
    assert encoded.ratio < 1
    assert decoded.ours > 0
    assert sized.met
    assert "qemu-img convert, xz -T0 -6" in encoded.against


def test_a_target_is_met_up_to_the_ratio_it_names() -> None:
    assert Comparison("w", "a", ours=2, theirs=10, target=0.2).met
    assert not Comparison("w", "a", ours=2.1, theirs=10, target=0.2).met


def test_the_table_shows_work_seconds_ratio_and_target() -> None:
    text = io.StringIO()
    print_table([Comparison("our work", "their work", 1, 4, 0.5)], Console(file=text, width=120))
    for word in ("our work", "their work", "1.00", "4.00", "0.250", "<= 0.5"):
        assert word in text.getvalue()


@pytest.mark.slow
def test_the_command_runs_every_case_and_prints_one_table() -> None:
    app = bench.typer.Typer()
    app.command()(bench.main)
    result = CliRunner().invoke(app, ["--quick"])
    assert result.exit_code == 0, result.output
    assert result.output.count("ratio") == 1
