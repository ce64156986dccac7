"""What packages' own maintainer scripts would have done for the guest, done offline: none of them runs here.

- Units are enabled by the links that `systemctl enable` makes (systemd.unit(5), "[Install]"). By hand, because
  `systemctl --root` asks the host for its init scripts and fails without root.
- The authorities of a newly added ca-certificates are trusted. Python and curl read one bundle that no .deb ships;
  `update-ca-certificates` writes it when the package is configured (update-ca-certificates(8)). The links by hash
  beside it are left to the guest: nothing of ours reads them.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from hyops_assets.image.overlay.debs import Staging, Unpacked
from hyops_assets.image.overlay.layers import Layers

UNITS = "/usr/lib/systemd/system"
_ENABLED = "/etc/systemd/system"
_LINKS = {"WantedBy": "wants", "RequiredBy": "requires"}

CERTIFICATES_PACKAGE = "ca-certificates"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_AUTHORITIES = PurePosixPath("/usr/share/ca-certificates")
_CHOSEN = "/etc/ca-certificates.conf"


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


def trust_authorities(package: Unpacked, layers: Layers, staging: Staging) -> None:
    """Trust every authority that a newly unpacked ca-certificates ships, in the order of their names."""
    shipped = sorted(path for path in package.files if PurePosixPath(path).is_relative_to(_AUTHORITIES))
    names = [path for path in shipped if path.endswith(".crt")]
    bundle = b""
    for path in names:
        source = layers.tree.nodes[layers.landing(package.files[path])].source
        certificate = source.read_bytes() if source is not None else b""
        bundle += certificate.rstrip(b"\n") + b"\n"
        layers.add_symlink(f"{PurePosixPath(BUNDLE).parent}/{PurePosixPath(path).stem}.pem", path)
    layers.add_file(BUNDLE, staging.hold(bundle))
    chosen = "".join(f"{PurePosixPath(path).relative_to(_AUTHORITIES)}\n" for path in names)
    layers.add_file(_CHOSEN, staging.hold(chosen.encode()))
