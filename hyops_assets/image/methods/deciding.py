"""What decides a disk's bytes besides the settings: files of the operator that a method reads."""

from hyops_assets.contract.settings import BuildSettings
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.methods.packer import template_of
from hyops_assets.image.methods.vyos_vm_images import checkout_digest


def deciding_files(settings: BuildSettings) -> dict[str, str]:
    """Return the digests of the files that the configured method follows; none for `native`.

    They belong into the recipe: a changed playbook or template makes another disk from the same settings. What a
    command reads is not known here.

    Raises:
        PackerNotUsable: the template does not exist.
    """
    if settings.method == "packer":
        return {"template_sha256": sha256_of_file(template_of(settings.packer))}
    if settings.method == "vyos-vm-images" and settings.vyos_vm_images is not None:
        return {"checkout_sha256": checkout_digest(settings.vyos_vm_images.checkout)}
    return {}
