"""What is not public in Dagster is used in one place, and does in the pinned version what it is used for."""

import ast
from pathlib import Path

import dagster as dg
import pytest
from starlette.applications import Starlette

from hyops_assets import dagster_gaps
from tests.sources import PACKAGES

pytestmark = pytest.mark.seconds

CHECKOUT = Path(__file__).parents[1]


def test_no_other_file_of_the_product_imports_a_private_part_of_dagster() -> None:
    private: list[str] = []
    for package in PACKAGES:
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            names = [
                name
                for node in ast.walk(ast.parse(path.read_text()))
                for name in (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
            ]
            if any(name.startswith("dagster") and "._" in name for name in names):
                private.append(str(path.relative_to(CHECKOUT)))
    assert private == ["hyops_assets/dagster_gaps.py"]


@pytest.mark.parametrize("read_only", [False, True])
def test_the_webservers_application_is_had_without_a_port(tmp_path: Path, read_only: bool) -> None:
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dagster_gaps.dagster_application(instance, workspace, read_only=read_only) as application,
    ):
        assert isinstance(application, Starlette)


def test_the_log_handlers_of_an_instance_for_threads_are_made_once(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "python_logs:\n  dagster_handler_config:\n    handlers:\n"
        "      own: {class: logging.StreamHandler, level: INFO}\n"
    )
    with dagster_gaps.instance_of(tmp_path, {}) as instance:
        first = instance.get_yaml_python_handlers()
        assert [handler.name for handler in first] == ["own"]
        assert instance.get_yaml_python_handlers() is first


def test_an_instance_for_threads_is_opened_from_its_reference_as_itself(tmp_path: Path) -> None:
    with (
        dagster_gaps.instance_of(tmp_path, {}) as instance,
        dg.DagsterInstance.from_ref(instance.get_ref()) as again,
    ):
        assert isinstance(again, dagster_gaps.ThreadedInstance)
