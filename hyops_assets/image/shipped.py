"""Files beside the Python packages: the canonical helper, packer's templates, the modules' specs, the workspace.

In a checkout they stand where the source document and Dagster expect them. A wheel carries copies of the same files
below `hyops_assets/shipped/` (pyproject.toml).
"""

from pathlib import Path

from hyops_assets.contract.errors import HyopsError

_CHECKOUT = Path(__file__).parents[2]
_IN_A_WHEEL = Path(__file__).parents[1] / "shipped"


class NotShipped(HyopsError):
    """A file that comes with this program is not there."""


def shipped(path: str) -> Path:
    """Return where a file or directory that comes with this program lies.

    Args:
        path: from the checkout's top, such as `workspace.yaml`.

    Raises:
        NotShipped: neither the checkout nor the installed package has it.
    """
    for top in (_IN_A_WHEEL, _CHECKOUT):
        if (found := top / path).exists():
            return found
    raise NotShipped(f"{_CHECKOUT / path} does not exist", hint="install the package anew, or run from a checkout")


def canonical_helper() -> Path:
    """Return the one canonical cloud-init module (source document: `tools/build/vyos/assets/cc_vyos.py`).

    Raises:
        NotShipped: neither the checkout nor the installed package has it.
    """
    return shipped("tools/build/vyos/assets/cc_vyos.py")
