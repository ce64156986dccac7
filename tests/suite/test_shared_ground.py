"""Ground that is made once: two processes get one directory; what a killed or failed maker left is not used."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.shared_ground import made_once, made_once_below, run_directory, seconds_of_ground, spent

CHECKOUT = Path(__file__).parents[2]

MAKER = """
import sys, time
from pathlib import Path
from tests.shared_ground import made_once_below

def make(directory):
    with open(sys.argv[2], "a") as calls:
        calls.write("made\\n")
    (directory / "half").touch()
    print("making", flush=True)
    if sys.argv[3] == "hang":
        sys.stdin.read()
    (directory / "half").rename(directory / "whole")

print(made_once_below(Path(sys.argv[1]), "thing", make))
"""


def maker(ground: Path, calls: Path, then: str = "go on") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, ground, calls, then],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.seconds
def test_processes_that_ask_at_once_get_one_directory_that_was_made_once(tmp_path: Path) -> None:
    makers = [maker(tmp_path / "ground", tmp_path / "calls") for _ in range(4)]
    answers = {process.communicate(timeout=60)[0].splitlines()[-1] for process in makers}
    assert (tmp_path / "calls").read_text() == "made\n"
    assert len(answers) == 1
    assert [path.name for path in Path(answers.pop()).iterdir()] == ["whole"]


def test_what_a_killed_maker_left_is_not_taken_for_finished(tmp_path: Path) -> None:
    killed = maker(tmp_path / "ground", tmp_path / "calls", "hang")
    assert killed.stdout
    assert killed.stdout.readline() == "making\n"
    killed.kill()
    killed.communicate()
    half = next((tmp_path / "ground").glob("thing-*"))
    made = made_once_below(tmp_path / "ground", "thing", lambda directory: (directory / "whole").touch())
    assert made != half
    assert [path.name for path in made.iterdir()] == ["whole"]


def test_one_that_waits_for_a_maker_that_is_killed_makes_it_itself(tmp_path: Path) -> None:
    killed = maker(tmp_path / "ground", tmp_path / "calls", "hang")
    assert killed.stdout
    assert killed.stdout.readline() == "making\n"
    waiting = maker(tmp_path / "ground", tmp_path / "calls")
    killed.kill()
    killed.communicate()
    said, _ = waiting.communicate(timeout=60)
    assert [path.name for path in Path(said.splitlines()[-1]).iterdir()] == ["whole"]
    assert (tmp_path / "calls").read_text() == "made\n" * 2


def test_what_a_failed_maker_left_is_removed_and_the_next_one_tries_again(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise RuntimeError("no ground")

    with pytest.raises(RuntimeError, match="no ground"):
        made_once_below(tmp_path, "thing", fail)
    assert list(tmp_path.glob("thing-*")) == []
    assert made_once_below(tmp_path, "thing", lambda directory: None).is_dir()


def test_a_name_that_is_a_path_is_refused(tmp_path: Path) -> None:
    for name in ("", "../elsewhere", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="does not name ground"):
            made_once_below(tmp_path, name, lambda directory: None)


def test_ground_that_is_made_from_other_ground_is_counted_once(tmp_path: Path) -> None:
    def lower(directory: Path) -> None:
        # Long enough that twice of it is not once of it.
        time.sleep(0.2)

    before = spent().wall
    began = time.monotonic()
    made_once_below(tmp_path, "upper", lambda directory: made_once_below(tmp_path, "lower", lower))
    took = time.monotonic() - began
    assert 0.2 <= spent().wall - before <= took


def test_how_long_ground_took_is_kept_by_its_name(tmp_path: Path) -> None:
    assert seconds_of_ground(tmp_path) == {}
    made_once_below(tmp_path / "ground", "thing", lambda directory: None)
    assert list(seconds_of_ground(tmp_path)) == ["thing"]


def test_the_workers_of_a_run_share_its_directory_and_two_runs_do_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run = run_directory(tmp_path_factory)
    assert tmp_path_factory.getbasetemp().is_relative_to(run)
    assert made_once(tmp_path_factory, "suite-test", lambda directory: None).parent == run / "ground"
