"""The trusted authorities of a guest whose ISO had none: what ca-certificates' own script would have made.

Python and curl read one bundle that no .deb ships; `update-ca-certificates` writes it when the package is configured
(update-ca-certificates(8)). The links by hash beside it are left to the guest: nothing of ours reads them.
"""

from pathlib import PurePosixPath

from hyops_assets.image.overlay.debs import Staging, Unpacked
from hyops_assets.image.overlay.layers import Layers

PACKAGE = "ca-certificates"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_AUTHORITIES = PurePosixPath("/usr/share/ca-certificates")
_CHOSEN = "/etc/ca-certificates.conf"


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
