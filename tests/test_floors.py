"""What import-linter cannot say: whose packages these are, and what importing them costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hyops_assets
import hyops_lab
import resources
import sensors
from tests.sources import PACKAGES, PRODUCT

pytestmark = pytest.mark.seconds

CHECKOUT = Path(__file__).parents[1]


def sources(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (CHECKOUT / package).rglob("*.py"))


def imported_by(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def loaded_by(statement: str, home: Path) -> set[str]:
    """The modules that stand in a fresh interpreter after a statement."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=CHECKOUT,
        env={"HOME": str(home), "PATH": "/usr/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    return set(ran.stdout.split())


@pytest.mark.parametrize("package", [hyops_assets, resources, sensors, hyops_lab], ids=PACKAGES)
def test_top_level_packages_are_ours_and_no_others_of_that_name(package: object) -> None:
    assert Path(str(vars(package)["__file__"])).parent.parent == CHECKOUT


def test_nothing_of_the_product_imports_the_lab() -> None:
    for path in sources(*PRODUCT):
        assert not any(name.partition(".")[0] == "hyops_lab" for name in imported_by(path)), path


def test_nothing_of_the_product_imports_a_test_or_a_tool() -> None:
    for path in sources(*PACKAGES):
        roots = {name.partition(".")[0] for name in imported_by(path)}
        assert not roots & {"tests", "benchmarks", "chaos", "tools", "pytest"}, path


def test_loading_the_code_location_loads_no_cloud_storage_and_leaves_no_trace(tmp_path: Path) -> None:
    loaded = loaded_by("import hyops_assets.definitions", tmp_path)
    heavy = {"dagster_gcp", "google.cloud", "google.cloud.storage", "pandas", "pyarrow", "hyops_lab"}
    assert loaded & heavy == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "package", ["hyops_assets.contract", "hyops_assets.image", "hyops_lab", "resources.sites.proxmox.client"]
)
def test_the_ground_and_the_clients_load_no_dagster(package: str, tmp_path: Path) -> None:
    path = CHECKOUT / package.replace(".", "/")
    modules = (
        [package]
        if not path.is_dir()
        else [".".join(module.relative_to(CHECKOUT).with_suffix("").parts) for module in path.glob("*.py")]
    )
    loaded = loaded_by("\n".join(f"import {module}" for module in modules), tmp_path)
    assert "dagster" not in loaded


def test_every_module_says_what_lives_in_it() -> None:
    assert [str(path) for path in sources(*PACKAGES) if not ast.get_docstring(ast.parse(path.read_text()))] == []
