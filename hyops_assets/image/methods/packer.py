"""Build method `packer`: VyOS' own installer in QEMU, its questions answered on the serial console."""

from hyops_assets.contract.errors import Refused
from hyops_assets.image.methods.method import BuildRequest, MadeDisk


class PackerNotUsable(Refused):
    """A build with Packer cannot be done here."""


def build_with_packer(request: BuildRequest) -> MadeDisk:
    """Refuse every request."""
    raise PackerNotUsable(
        f"{request.version} cannot be built with packer yet", hint="use build.method native in config/pipeline.yml"
    )
