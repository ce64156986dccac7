"""Tell the guest's dpkg what the overlay brought, so that `dpkg -l`, `-L` and `-V` are right in it."""

import hashlib
import re
from collections.abc import Sequence, Set

from hyops_assets.image.dpkg import ARCHITECTURE, Stanza, is_installed, package_name, stanzas
from hyops_assets.image.overlay.debs import BadPackage, Staging, Unpacked
from hyops_assets.image.overlay.layers import Layers
from hyops_assets.image.squashfs import Squashfs

STATUS = "/var/lib/dpkg/status"
_INFO = "/var/lib/dpkg/info"


def register(unpacked: Sequence[Unpacked], squashfs: Squashfs, layers: Layers, staging: Staging) -> None:
    """Add dpkg's status, file lists and control files for newly unpacked packages.

    What the ISO's status says of its own packages stays as it is, byte for byte. The maintainers' scripts are kept
    for dpkg's later use; none has run.

    Raises:
        BadPackage: a .deb is another package than the lock says, or the squashfs holds that package already.
    """
    if not unpacked:
        return
    status = squashfs.read(STATUS).decode("utf-8", "surrogateescape")
    kept = _without_leftovers(status, {package.name for package in unpacked})
    added: list[str] = []
    for package in unpacked:
        added.append(_stanza(package, layers))
        _add_info(package, layers, staging)
    merged = "\n\n".join([*kept, *added]) + "\n"
    layers.replace_file(STATUS, staging.hold(merged.encode("utf-8", "surrogateescape")))


def _without_leftovers(status: str, names: Set[str]) -> list[str]:
    """Return the status' paragraphs, without what dpkg remembers of packages that were removed and come anew."""
    kept: list[str] = []
    for paragraph in re.split(r"\n(?:[ \t]*\n)+", status.strip("\n")):
        for stanza in stanzas(paragraph):
            if package_name(stanza) not in names:
                kept.append(paragraph)
            elif is_installed(stanza):
                raise BadPackage(
                    f"{stanza['package']} is already in the squashfs", hint="lock the packages for this ISO again"
                )
    return kept


def _stanza(package: Unpacked, layers: Layers) -> str:
    """Return the stanza that dpkg would have written: the control file, the status, the conffiles' digests."""
    lines = _control(package).rstrip("\n").split("\n")
    lines.sort(key=lambda line: not line.lower().startswith("package:"))
    lines.insert(1, "Status: install ok installed")
    conffiles = _conffiles(package)
    if conffiles:
        lines.append("Conffiles:")
        lines += [f" {path} {_md5(package, path, layers)}" for path in conffiles]
    return "\n".join(lines)


def _add_info(package: Unpacked, layers: Layers, staging: Staging) -> None:
    stanza = _own_stanza(package)
    # dpkg names the files of a package that may be installed for several architectures by both.
    several = stanza.get("multi-arch") == "same"
    prefix = f"{_INFO}/{package.name}:{stanza['architecture']}" if several else f"{_INFO}/{package.name}"
    layers.add_file(f"{prefix}.list", staging.hold("".join(f"{path}\n" for path in package.paths).encode()))
    for name, (content, mode) in package.control.items():
        if name != "control":
            layers.add_file(f"{prefix}.{name}", staging.hold(content), mode)
    if "md5sums" not in package.control:
        # dpkg makes them itself for a package that ships none, and calls one without them broken.
        conffiles = _conffiles(package)
        plain = sorted(path for path in package.files if path not in conffiles)
        sums = "".join(f"{_md5(package, path, layers)}  {path.lstrip('/')}\n" for path in plain)
        layers.add_file(f"{prefix}.md5sums", staging.hold(sums.encode("utf-8", "surrogateescape")))


def _own_stanza(package: Unpacked) -> Stanza:
    """Return the control stanza, once it is known to be one, and of this package."""
    found = list(stanzas(_control(package)))
    if len(found) != 1 or not {"package", "version", "architecture"} <= found[0].keys():
        raise BadPackage(f"the control file of {package.name} does not tell one package", hint="leave it out")
    stanza = found[0]
    if stanza["package"] != package.name or stanza["architecture"] not in (ARCHITECTURE, "all"):
        raise BadPackage(
            f"the .deb of {package.name} says that it is {stanza['package']} for {stanza['architecture']}",
            hint="lock the packages for this ISO again",
        )
    return stanza


def _control(package: Unpacked) -> str:
    text = _text(package, "control")
    if not text:
        raise BadPackage(f"the .deb of {package.name} has no control file", hint="fetch it again")
    return text


def _conffiles(package: Unpacked) -> list[str]:
    """Return the configuration files; a line that begins with a flag names one that is gone (deb-conffiles(5))."""
    return [line for line in _text(package, "conffiles").splitlines() if line.startswith("/")]


def _text(package: Unpacked, name: str) -> str:
    return package.control.get(name, (b"", 0))[0].decode("utf-8", "surrogateescape")


def _md5(package: Unpacked, path: str, layers: Layers) -> str:
    """Return the digest that dpkg keeps to tell a file that was edited."""
    node = layers.tree.nodes.get(layers.landing(package.files.get(path, "/")))
    if node is None or node.source is None:
        raise BadPackage(
            f"{package.name} names the conffile {path} and does not ship it", hint="leave the package out"
        )
    return hashlib.md5(node.source.read_bytes(), usedforsecurity=False).hexdigest()
