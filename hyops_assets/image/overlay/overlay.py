"""The overlay: everything that is ours on the disk, over a squashfs that stays byte for byte the vendor's.

cloud-init, the guest agent and what they need, the one cloud-init module `cc_vyos`, and a unit that grows the
persistence file system. The same squashfs, .debs and helper give the same tree on every host and for every user.
"""

from collections.abc import Mapping
from pathlib import Path

from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.overlay.claims import Claims
from hyops_assets.image.overlay.debs import Staging, unpack
from hyops_assets.image.overlay.dpkg_status import register
from hyops_assets.image.overlay.layers import Layers
from hyops_assets.image.overlay.maintainer_scripts import (
    CERTIFICATES_PACKAGE,
    UNITS,
    enable,
    enable_package,
    trust_authorities,
)
from hyops_assets.image.space import space_needed
from hyops_assets.image.squashfs import Squashfs

HELPER = "/usr/lib/python3/dist-packages/cloudinit/config/cc_vyos.py"
CONFIGURATION = "/etc/cloud/cloud.cfg.d/99-hyops.cfg"
GROW_UNIT = "hyops-grow-persistence.service"
GROW_PROGRAM = "/usr/libexec/hyops/hyops-grow-persistence"

ENABLED_PACKAGES = ("cloud-init", "qemu-guest-agent")
"""Whose units are enabled. No other package's: VyOS alone decides what else runs, the network above all."""

_GENERATOR = "/usr/lib/systemd/system-generators/cloud-init-generator"
_UNPACKED_TIMES = 5
"""How much larger packages are unpacked (Debian's cloud-init with what it needs: 11 MB, then 45 MB)."""

_GUEST_FILES = Path(__file__).parent / "guest"


def build_overlay(squashfs: Squashfs, debs: Mapping[str, Path], helper: Path, *, scratch: Path) -> Tree:
    """Return the overlay's tree; paths are the guest's, such as `/etc/cloud/cloud.cfg`.

    No maintainer's script runs: what those of cloud-init, the guest agent and ca-certificates would do for the guest
    is done here.

    Args:
        squashfs: the ISO's.
        debs: the locked .debs by package name, hashed by `packages.fetch`.
        helper: the canonical `cc_vyos.py`.
        scratch: a directory where the files' bytes wait until the disk is written; emptied first.

    Raises:
        BadPackage: a .deb is damaged, holds what no overlay may, or is in the squashfs already.
        SharedPath: two packages have the same file.
        OverlayConflict: a package does not fit the squashfs.
        NoSpace: no room in scratch.
        BadSquashfs, MissingMember: the squashfs cannot be read, or has no dpkg status.
    """
    layers = Layers(squashfs)
    claims = Claims(squashfs, layers)
    staging = Staging(scratch)
    with space_needed(scratch, _UNPACKED_TIMES * sum(deb.stat().st_size for deb in debs.values())):
        unpacked = [unpack(name, deb, layers, claims, staging) for name, deb in sorted(debs.items())]
        register(unpacked, squashfs, layers, staging)
    for package in unpacked:
        if package.name in ENABLED_PACKAGES:
            enable_package(package.paths, layers)
        if package.name == CERTIFICATES_PACKAGE:
            trust_authorities(package, layers, staging)
    if layers.exists(f"{UNITS}/cloud-init.target") and not layers.exists(_GENERATOR):
        layers.add_symlink(
            "/etc/systemd/system/multi-user.target.wants/cloud-init.target", f"{UNITS}/cloud-init.target"
        )
    _add_ours(layers, staging, helper)
    return layers.tree


def _add_ours(layers: Layers, staging: Staging, helper: Path) -> None:
    layers.add_file(HELPER, staging.hold(helper.read_bytes()))
    for path, mode in ((CONFIGURATION, 0o644), (GROW_PROGRAM, 0o755), (f"{UNITS}/{GROW_UNIT}", 0o644)):
        content = (_GUEST_FILES / Path(path).name).read_bytes()
        layers.add_file(path, staging.hold(content), mode)
    enable(GROW_UNIT, (_GUEST_FILES / GROW_UNIT).read_text(), layers)
