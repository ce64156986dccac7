"""Enable systemd units offline: the links that `systemctl enable` makes (systemd.unit(5), "[Install]").

By hand, because `systemctl --root` asks the host for its init scripts and fails without root.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from hyops_assets.image.overlay.layers import Layers

UNITS = "/usr/lib/systemd/system"
_ENABLED = "/etc/systemd/system"
_LINKS = {"WantedBy": "wants", "RequiredBy": "requires"}


def enable(unit: str, text: str, layers: Layers) -> None:
    """Link a unit into every target that its [Install] section names; do nothing where it names none.

    Args:
        unit: the unit's name, such as `cloud-init.service`; its file is below /usr/lib/systemd/system.
        text: the unit file.
        layers: the overlay.
    """
    for directory in _directories(text):
        layers.add_symlink(f"{_ENABLED}/{directory}/{unit}", f"{UNITS}/{unit}")


def enable_package(paths: list[str], layers: Layers) -> None:
    """Enable every unit among the files that a package brought."""
    for path in paths:
        landing = layers.landing(path)
        node = layers.tree.nodes.get(landing)
        if node is not None and node.source is not None and str(PurePosixPath(landing).parent) == UNITS:
            enable(PurePosixPath(landing).name, node.source.read_text(errors="replace"), layers)


def _directories(text: str) -> Iterator[str]:
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line
            continue
        name, _, value = line.partition("=")
        kind = _LINKS.get(name.strip())
        if section == "[Install]" and kind:
            for target in value.split():
                yield f"{target}.{kind}"
