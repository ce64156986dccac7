import subprocess
import sys

import pytest


def test_the_contract_loads_without_dagster_or_a_network_library() -> None:
    """Weaker than a stopwatch and steadier: what makes it slow is what it imports."""
    script = (
        "import sys, pkgutil, importlib, hyops_assets.contract as c\n"
        "for m in pkgutil.iter_modules(c.__path__): importlib.import_module(f'hyops_assets.contract.{m.name}')\n"
        "print(sorted({'dagster', 'httpcore', 'hcloud', 'yaml', 'rich', 'aiohttp'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


@pytest.mark.seconds
def test_the_graph_loads_without_what_only_a_step_of_it_needs() -> None:
    """Every command, run and code server pays for what it imports: SSH is a rescue system's, CycloneDX a bill's."""
    script = "import sys, hyops_assets.definitions; print(sorted({'asyncssh', 'cyclonedx'} & set(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"
