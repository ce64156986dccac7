"""What decides a disk's bytes besides the common settings: what a method is given, and the files that it follows."""

from hyops_assets.image.digests import sha256_of_bytes, sha256_of_file
from hyops_assets.image.methods.packer import template_of
from hyops_assets.image.methods.vyos_vm_images import checkout_digest
from hyops_assets.settings.build import BuildSettings


def method_inputs(settings: BuildSettings) -> dict[str, str]:
    """Return what the configured method follows, by digest: none for `native`.

    It belongs into the recipe: a changed playbook, template or command makes another disk from the same settings.
    Digests, because the recipe is published, and paths and commands are private. What a command reads is
    not known here.

    Raises:
        PackerNotUsable: the template does not exist.
    """
    if settings.method == "packer":
        return {"template_sha256": sha256_of_file(template_of(settings.packer))}
    if settings.method == "vyos-vm-images" and settings.vyos_vm_images is not None:
        images = settings.vyos_vm_images
        return {"checkout_sha256": checkout_digest(images.checkout), "playbook": images.playbook}
    if settings.method == "command" and settings.command is not None:
        command = settings.command
        digest = sha256_of_bytes(command.build_command.encode())
        return {"command_sha256": digest, "complete": str(command.complete).lower()}
    return {}
