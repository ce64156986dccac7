"""Tell the guest's dpkg what the overlay brought, so that `dpkg -l`, `-L` and `-V` are right in it."""

import hashlib
from collections.abc import Sequence

from hyops_assets.image.dpkg import stanzas
from hyops_assets.image.overlay.debs import BadPackage, Staging, Unpacked
from hyops_assets.image.overlay.layers import Layers
from hyops_assets.image.squashfs import Squashfs

STATUS = "/var/lib/dpkg/status"
_INFO = "/var/lib/dpkg/info"


def register(unpacked: Sequence[Unpacked], squashfs: Squashfs, layers: Layers, staging: Staging) -> None:
    """Add dpkg's status, file lists and control files for newly unpacked packages.

    The maintainers' scripts are kept for dpkg's later use; none has run.

    Raises:
        BadPackage: a .deb has no control stanza, or the squashfs holds that package already.
    """
    if not unpacked:
        return
    status = squashfs.read(STATUS).decode("utf-8", "surrogateescape").rstrip("\n")
    known = {stanza.get("package") for stanza in stanzas(status)}
    added: list[str] = []
    for package in unpacked:
        if package.name in known:
            raise BadPackage(f"{package.name} is already in the squashfs", hint="lock the packages for this ISO again")
        added.append(_stanza(package, layers))
        _add_info(package, layers, staging)
    merged = "\n\n".join([status, *added]) + "\n"
    layers.replace_file(STATUS, staging.hold(merged.encode("utf-8", "surrogateescape")))


def _stanza(package: Unpacked, layers: Layers) -> str:
    """Return the stanza that dpkg would have written: the control file, the status, the conffiles' digests."""
    lines = _control(package).rstrip("\n").split("\n")
    if not lines[0].startswith("Package:"):
        lines.sort(key=lambda line: not line.startswith("Package:"))
    lines.insert(1, "Status: install ok installed")
    conffiles = [line for line in _text(package, "conffiles").splitlines() if line.startswith("/")]
    if conffiles:
        lines.append("Conffiles:")
        lines += [f" {path} {_md5(path, layers)}" for path in conffiles]
    return "\n".join(lines)


def _add_info(package: Unpacked, layers: Layers, staging: Staging) -> None:
    stanza = next(stanzas(_control(package)))
    # dpkg names the files of a package that may be installed for several architectures by both.
    several = stanza.get("multi-arch") == "same"
    prefix = f"{_INFO}/{package.name}:{stanza['architecture']}" if several else f"{_INFO}/{package.name}"
    layers.add_file(f"{prefix}.list", staging.hold("".join(f"{path}\n" for path in package.paths).encode()))
    for name, (content, mode) in package.control.items():
        if name != "control":
            layers.add_file(f"{prefix}.{name}", staging.hold(content), mode)


def _control(package: Unpacked) -> str:
    text = _text(package, "control")
    if not text:
        raise BadPackage(f"the .deb of {package.name} has no control file", hint="fetch it again")
    return text


def _text(package: Unpacked, name: str) -> str:
    return package.control.get(name, (b"", 0))[0].decode("utf-8", "surrogateescape")


def _md5(path: str, layers: Layers) -> str:
    """Return the digest that dpkg keeps to tell a conffile that was edited."""
    node = layers.tree.nodes.get(layers.landing(path))
    if node is None or node.source is None:
        raise BadPackage(f"a .deb names the conffile {path} and does not ship it", hint="leave the package out")
    return hashlib.md5(node.source.read_bytes(), usedforsecurity=False).hexdigest()
