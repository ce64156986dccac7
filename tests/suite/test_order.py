"""Workers: the tests of a file stay together, slow ones go alone and first, long forms and groups as marked."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.suite.scheduler import Scheduler

CHECKOUT = Path(__file__).parents[2]

FILES = {
    "tests/contract/test_small": """
        import pytest
        @pytest.mark.parametrize("word", ["a@b", "c"])
        def test_small(word): pass
    """,
    "tests/assets/test_large": """
        import pytest
        def test_first(): pass
        @pytest.mark.slow
        def test_slow(): pass
        def test_second(): pass
    """,
    "tests/assets/test_shared": """
        import pytest
        @pytest.fixture(scope="module")
        def shared(): return 1
        def test_fast(shared): pass
        @pytest.mark.slow
        def test_slow(shared): pass
    """,
    "tests/lab/test_own_group": """
        import pytest
        @pytest.mark.xdist_group("pair")
        def test_one(): pass
        @pytest.mark.slow
        @pytest.mark.xdist_group("pair")
        def test_two(): pass
    """,
    "tests/test_long": """
        import pytest
        def test_short(): pass
        @pytest.mark.long
        def test_long(): pass
    """,
}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A small suite that is ordered as this one is, and writes down in which order."""
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nmarkers =\n slow: s\n long: l\n environment: e\n")
    pytester.makeconftest(
        """
        def pytest_collection_finish(session):
            if getattr(session.config, "workerinput", {"workerid": "gw0"})["workerid"] == "gw0":
                with open("order", "w") as order:
                    order.writelines(item.nodeid + "\\n" for item in session.items)
        """
    )
    for name, text in FILES.items():
        (pytester.path / name).parent.mkdir(parents=True, exist_ok=True)
        pytester.makepyfile(**{name: text})
    return pytester


def run(suite: pytest.Pytester, *words: str) -> pytest.RunResult:
    return suite.runpytest_subprocess("-p", "xdist", "-p", "tests.suite.order", *words)


def order(suite: pytest.Pytester) -> list[str]:
    return (suite.path / "order").read_text().splitlines()


@pytest.mark.seconds
def test_slow_tests_begin_first_and_alone_unless_they_share_with_their_file(suite: pytest.Pytester) -> None:
    run(suite, "-n2").assert_outcomes(passed=10)
    groups = suite.path / "runpytest-0" / "groups.json"
    group_of = json.loads(groups.read_text())
    assert [(name, group_of[name]) for name in order(suite)] == [
        ("tests/assets/test_large.py::test_slow", "tests/assets/test_large.py::test_slow"),
        ("tests/assets/test_shared.py::test_fast", "tests/assets/test_shared.py"),
        ("tests/assets/test_shared.py::test_slow", "tests/assets/test_shared.py"),
        ("tests/lab/test_own_group.py::test_one", "pair"),
        ("tests/lab/test_own_group.py::test_two", "pair"),
        ("tests/assets/test_large.py::test_first", "tests/assets/test_large.py"),
        ("tests/assets/test_large.py::test_second", "tests/assets/test_large.py"),
        ("tests/contract/test_small.py::test_small[a@b]", "tests/contract/test_small.py"),
        ("tests/contract/test_small.py::test_small[c]", "tests/contract/test_small.py"),
        ("tests/test_long.py::test_short", "tests/test_long.py"),
    ]


def test_one_process_runs_them_as_they_come(suite: pytest.Pytester) -> None:
    run(suite).assert_outcomes(passed=10, deselected=1)
    assert order(suite)[0] == "tests/assets/test_large.py::test_first"


def test_long_forms_run_where_they_are_asked_for_and_nowhere_else(suite: pytest.Pytester) -> None:
    run(suite, "-m", "not slow")
    assert "tests/test_long.py::test_long" not in order(suite)
    run(suite, "-m", "long").assert_outcomes(passed=1, deselected=10)
    assert order(suite) == ["tests/test_long.py::test_long"]


def test_who_takes_an_environment_is_marked_with_it(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        **{
            "tests/cli/test_grounds": """
                import pytest
                @pytest.fixture
                def ground(): return 1
                @pytest.fixture
                def released(ground): return ground
                def test_on_ground(released): pass
                def test_without(): pass
            """
        }
    )
    run(suite, "-m", "environment").assert_outcomes(passed=1, deselected=12)
    assert order(suite) == ["tests/cli/test_grounds.py::test_on_ground"]


class Node:
    """A worker of which the scheduler asks no more than this."""

    shutting_down = False
    gateway = SimpleNamespace(id="a worker")

    def __init__(self) -> None:
        self.given: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def test_one_group_is_ahead_of_a_worker_and_the_next_goes_to_the_one_that_is_done_first(
    tmp_path: Path,
) -> None:
    names = ["long", "short", "a", "b", "c", "d"]
    groups = tmp_path / "groups.json"
    groups.write_text(json.dumps({name: name for name in names}))
    config = SimpleNamespace(option=SimpleNamespace(loadscopereorder=False), getvalue=lambda name: ["popen"] * 2)
    scheduler = Scheduler(config, None, groups)  # type: ignore[arg-type]
    busy, quick = Node(), Node()
    for node in (busy, quick):
        scheduler.add_node(node)  # type: ignore[arg-type]
        scheduler.add_node_collection(node, names)  # type: ignore[arg-type]
    scheduler.schedule()
    for index in (1, 3, 4):
        scheduler.mark_test_complete(quick, index)  # type: ignore[arg-type]
    assert (busy.given, quick.given) == ([0, 2], [1, 3, 4, 5])
    assert quick.shutting_down
