"""Two guests at once of all that share the host, a product's gate among them; a third waits."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from hyops_assets.image.boot.turns import turn
from tests import boots
from tests.boots import turn_to_boot


class Waited(Exception):
    """It had to wait."""


def refuse(stage: str, done: int, total: int | None) -> None:
    raise Waited(stage)


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the locks of a host lie on which nothing else boots."""
    monkeypatch.setattr(boots, "host_directory", lambda: tmp_path)
    return tmp_path


def test_a_third_guest_waits_until_one_of_two_has_gone() -> None:
    with ExitStack() as second:
        with turn_to_boot(refuse):
            second.enter_context(turn_to_boot(refuse))
            with pytest.raises(Waited), turn_to_boot(refuse):
                pass
        with turn_to_boot(refuse):
            pass


def test_a_gate_of_the_product_and_a_tests_own_guest_take_the_same_turns(host: Path) -> None:
    with turn(host, at_once=1), turn_to_boot(refuse), pytest.raises(Waited), turn_to_boot(refuse):
        pass
    # The second is the tests' own while it is free: a gate that names one finds the first.
    with turn_to_boot(refuse), turn(host, at_once=1, progress=refuse):
        pass
