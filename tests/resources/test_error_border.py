"""What an exception may say in Dagster's event log: asked of Dagster itself, in runs that it records."""

import ast
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import requests

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.redaction import REDACTED
from resources.error_border import bordered
from tests.sources import PACKAGES

TOKEN = "tok-9b1deb4d-3b7d-4bad"
ROOT = Path(__file__).parents[2]
_CALLED = {"asset", "multi_asset", "asset_check", "multi_asset_check", "sensor", "schedule", "run_failure_sensor"}
_METHODS = {"create_resource", "yield_for_execution", "handle_output", "load_input"}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", TOKEN)


def recorded(raises: Exception, *, beneath: Exception | None = None) -> str:
    """Return all that Dagster would show of an asset that raises this."""

    @dg.asset
    @bordered
    def failing() -> None:
        try:
            if beneath is not None:
                raise beneath
        except Exception as error:
            raise raises from error
        raise raises

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([failing], instance=instance, raise_on_error=False)
        return "\n".join(
            str(entry.get_dagster_event().event_specific_data) for entry in instance.all_logs(result.run_id)
        )


def test_a_librarys_error_beneath_one_of_ours_stays_out_of_the_event_log() -> None:
    shown = recorded(
        HyopsError("listing servers: no answer", hint="check the network"),
        beneath=requests.exceptions.InvalidHeader(f"header value: 'Bearer {TOKEN[:12]}'"),
    )
    assert "listing servers: no answer" in shown
    assert "next: check the network" in shown
    assert TOKEN[:12] not in shown
    assert "InvalidHeader" not in shown


def test_errors_of_ours_beneath_one_of_ours_are_shown_with_their_reason() -> None:
    shown = recorded(HyopsError("it cannot be read", hint="x"), beneath=TransientError("the host is away", hint="y"))
    assert "the host is away" in shown


def test_an_error_that_nothing_foresaw_is_shown_without_the_secret_in_it() -> None:
    shown = recorded(ValueError(f"cannot use {TOKEN} here"))
    assert f"ValueError: cannot use {REDACTED} here" in shown
    assert TOKEN not in shown


def test_a_secret_in_an_error_of_ours_or_in_its_notes_is_blacked_out() -> None:
    error = HyopsError(f"the answer was {TOKEN}", hint=f"use another than {TOKEN}")
    error.add_note(f"asked with {TOKEN}")
    shown = recorded(error)
    assert "the answer was" in shown
    assert TOKEN not in shown


def test_a_request_for_another_try_reaches_dagster_as_one() -> None:
    @bordered
    def failing() -> None:
        raise dg.RetryRequested(max_retries=2) from TransientError(f"away {TOKEN}", hint="x")

    with pytest.raises(dg.RetryRequested) as raised:
        failing()
    assert raised.value.max_retries == 2
    assert TOKEN not in str(raised.value.__cause__)


def test_a_generator_stays_one_and_what_it_raises_is_held_to_the_same() -> None:
    @bordered
    def two() -> Iterator[int]:
        yield 1
        raise ValueError(TOKEN)

    made = two()
    assert next(made) == 1
    with pytest.raises(Exception, match="ValueError") as raised:
        next(made)
    assert TOKEN not in str(raised.value)


def test_every_function_that_dagster_calls_is_bordered() -> None:
    bare = [
        f"{path.relative_to(ROOT)}: {found.name}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "dagster" in (text := path.read_text())
        for found in ast.walk(ast.parse(text))
        if isinstance(found, ast.FunctionDef) and _is_called_by_dagster(found) and not _is_bordered(found)
    ]
    assert bare == []


def _is_called_by_dagster(function: ast.FunctionDef) -> bool:
    return function.name in _METHODS or any(
        isinstance(called := one.func if isinstance(one, ast.Call) else one, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id == "dg"
        and called.attr in _CALLED
        for one in function.decorator_list
    )


def _is_bordered(function: ast.FunctionDef) -> bool:
    # The innermost: what stands above it is Dagster's.
    last = function.decorator_list[-1] if function.decorator_list else None
    return isinstance(last, ast.Name) and last.id == "bordered"


def test_what_a_caught_error_says_is_stored_by_way_of_the_border_alone() -> None:
    """An error that is raised again meets the border by itself; one that becomes a reason or a finding does not."""
    found: list[str] = []
    for directory in ("hyops_assets/assets", "hyops_assets/checks", "sensors"):
        for path in sorted((ROOT / directory).rglob("*.py")):
            tree = ast.parse(path.read_text())
            raised = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Raise) for part in ast.walk(node)}
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and node.attr == "message" and id(node) not in raised
                if isinstance(node.value, ast.Name) and node.value.id == "error"
            ]
    assert found == []
