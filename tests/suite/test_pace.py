"""A test over its seconds fails without the mark; shared ground is not its own; a run ends with the figures."""

from pathlib import Path

import pytest

from tests.suite.clock import Seconds
from tests.suite.pace import per_floor

pytestmark = pytest.mark.seconds

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def paced(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite in which half a second is slow. Its tests use the processor: what others do is none of theirs."""
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "250")
    pytester.makeini("[pytest]\nfast_test_seconds = 0.5\nmarkers =\n slow: s\n seconds: s\n")
    (pytester.path / "tests" / "floor").mkdir(parents=True)
    pytester.makepyfile(
        **{
            "work": """
                import time
                def work(seconds):
                    until = time.process_time() + seconds
                    while time.process_time() < until: pass
            """,
            "tests/floor/test_paced": """
                import pytest
                from tests.shared_ground import made_once
                from work import work

                @pytest.fixture
                def setup(): work(0.7)

                @pytest.fixture(scope="session")
                def ground(tmp_path_factory):
                    return made_once(tmp_path_factory, "thing", lambda directory: work(0.7))

                def test_fast(): pass
                def test_call(): work(0.7)
                def test_setup(setup): pass
                @pytest.mark.slow
                def test_marked(setup): work(0.7)
                def test_ground(ground): pass
                @pytest.mark.seconds
                def test_longer(): work(0.7)
                @pytest.mark.seconds
                def test_too_long(): work(1.2)
                def test_wrong(): work(0.7); assert 1 == 2
            """,
        }
    )
    return pytester


@pytest.mark.parametrize("shared", [[], ["-n2"]], ids=["one process", "two workers"])
def test_a_test_over_its_seconds_fails_and_the_run_ends_with_its_slowest_and_its_floors(
    paced: pytest.Pytester, shared: list[str]
) -> None:
    result = paced.runpytest_subprocess("-p", "xdist", "-p", "tests.suite.pace", "-rfp", *shared)
    result.assert_outcomes(passed=4, failed=4)
    result.stdout.fnmatch_lines_random(
        [
            "PASSED tests/floor/test_paced.py::test_fast",
            "PASSED tests/floor/test_paced.py::test_marked",
            "PASSED tests/floor/test_paced.py::test_ground",
            "PASSED tests/floor/test_paced.py::test_longer",
            "FAILED tests/floor/test_paced.py::test_call - took 1 s of its own*without the mark `seconds`*",
            "FAILED tests/floor/test_paced.py::test_too_long - took 1 s of its own*without the mark `slow`*",
            "FAILED tests/floor/test_paced.py::test_setup - took 1 s of its own*",
            "FAILED tests/floor/test_paced.py::test_wrong - *1 == 2*",
        ]
    )
    result.stdout.re_match_lines(
        [
            "=+ seconds, without shared ground =+",
            r" +\d+\.\d  tests/floor/test_paced.py::test_(call|setup|marked|wrong|too_long)",
            "per floor:",
            r" +\d+\.\d  tests/floor \(8 tests\)",
            "shared ground, made once:",
            r" +\d+\.\d  thing",
        ]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("span", "alone"),
    [
        (Seconds(wall=30, cpu=10, idle=0), 10),
        (Seconds(wall=30, cpu=10, idle=5), 15),
        (Seconds(wall=30, cpu=1, idle=59), 30),
        (Seconds(wall=15, cpu=28, idle=0), 28),
    ],
    ids=["others had every core", "they left some", "it waited for something", "it worked on two cores"],
)
def test_what_a_test_takes_does_not_depend_on_what_else_runs(span: Seconds, alone: float) -> None:
    assert span.alone == alone


def test_the_clocks_are_read(tmp_path: Path) -> None:
    began = Seconds.now()
    while (span := Seconds.now() - began).cpu < 0.05:
        pass
    assert span.wall > 0
    assert Seconds.now().idle > 0


def test_a_floor_is_a_directory_below_tests() -> None:
    seconds = {
        "tests/cli/modules/test_a.py::test": 1.0,
        "tests/cli/test_b.py::test[a/b]": 2.0,
        "tests/test_c.py::t": 4,
    }
    assert per_floor(seconds) == {"tests/cli": (3.0, 2), "tests": (4, 1)}
