"""Outside a cloud's folder the product does not know which clouds there are: it asks the registry's rows.

What may say a cloud's name all the same is listed here with its reason, and how often; one more is a failure, so that
it is either passed through the protocol (`resources/sites/base.py`) or given a reason.
"""

import ast
from collections import Counter
from pathlib import Path

from resources.sites.registry import CLOUDS
from tests.sources import PRODUCT

ROOT = Path(__file__).parents[1]
NAMES = frozenset(cloud.name for cloud in CLOUDS)
IMPORTS = tuple(f"resources.sites.{name}" for name in NAMES)

REASONS = {
    "hyops_assets/cli/commands/sites.py": ("flags of hyops acceptance: --proxmox-site, --hetzner-site", 2),
    "hyops_assets/cli/init_sites.py": ("flags of hyops init: --proxmox, --hetzner", 7),
    "hyops_assets/cli/modules/registry.py": ("HybridOps' modules, and whose credentials each needs", 6),
    "hyops_assets/cli/modules/wrap_outlook.py": ("inputs of core/hetzner/vyos-image-seed: seed_wrapper_…", 2),
    "hyops_assets/contract/edges.py": ("inputs of HybridOps' edges", 2),
    "hyops_assets/contract/hybridops_inputs.py": ("why inputs of HybridOps' own are not taken", 1),
    "hyops_assets/contract/inputs.py": ("at whose sites a module of HybridOps works", 2),
    "hyops_assets/contract/register_inputs.py": ("at whose sites a module of HybridOps works", 2),
    "hyops_assets/settings/pipeline.py": ("the sections of pipeline.yml, typed", 4),
    "hyops_assets/settings/sites.py": ("the sections of pipeline.yml: what makes two sites one place", 4),
    "resources/local_remains.py": ("the directory that the source document names for a wrapped qcow2", 1),
    "resources/sites/registry.py": ("the rows", 2),
}
"""File, why it speaks of a cloud, and how often."""


def named(text: str) -> int:
    """Count imports from a cloud's folder, a cloud's name as a text, and its section as an attribute."""
    if not any(name in text for name in NAMES):
        return 0
    return sum(
        (isinstance(node, ast.ImportFrom) and (node.module or "").startswith(IMPORTS))
        or (isinstance(node, ast.Import) and any(alias.name.startswith(IMPORTS) for alias in node.names))
        or (isinstance(node, ast.Constant) and node.value in NAMES)
        or (isinstance(node, ast.Attribute) and node.attr in NAMES)
        for node in ast.walk(ast.parse(text))
    )


def product() -> list[Path]:
    """Every file of the product that is no cloud's."""
    files = [file for package in PRODUCT for file in (ROOT / package).rglob("*.py")]
    clouds = {ROOT / "resources/sites" / name for name in NAMES}
    return [file for file in files if not clouds & set(file.parents)]


def test_no_file_speaks_of_a_cloud_without_a_reason() -> None:
    found = Counter({str(file.relative_to(ROOT)): named(file.read_text()) for file in product()})

    assert {file: count for file, count in found.items() if count} == {
        file: count for file, (_, count) in REASONS.items()
    }
