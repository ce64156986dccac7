"""Where the one canonical cloud-init module lies: `tools/build/vyos/assets/cc_vyos.py` (source document)."""

from pathlib import Path

from hyops_assets.contract.errors import HyopsError

_CHECKOUT = Path(__file__).parents[2]


class MissingHelper(HyopsError):
    """The canonical helper is not where it belongs."""


def canonical_helper() -> Path:
    """Return the path of the canonical cloud-init module.

    Raises:
        MissingHelper: the package was installed without its checkout.
    """
    path = _CHECKOUT / "tools" / "build" / "vyos" / "assets" / "cc_vyos.py"
    if not path.is_file():
        raise MissingHelper(f"{path} does not exist", hint="run from a checkout: pip install --editable .")
    return path
