"""Build method `vyos-vm-images`: the Ansible playbooks of that name, from a checkout on this host.

They install VyOS onto a raw disk through loop devices and a chroot, as root. Written for VyOS 1.2 to 1.4 and last
changed in March 2024, they end well without a usable disk in three ways, each of which is guarded here: GRUB is
skipped for a version in the form of today's rolling releases, a failure is rescued and forgotten, and the ISO's
`md5sum.txt`, which they verify, is gone. cloud-init and the guest agent are left to our overlay: the package
repository that the playbooks would take them from has moved.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from hyops_assets.contract.build_settings import BuildSettings, VyosVmImages
from hyops_assets.contract.errors import Refused
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.inspection.files import Ext4Files
from hyops_assets.image.intake.iso import SQUASHFS, OpenedIso
from hyops_assets.image.methods.finishing import find_installed, finish
from hyops_assets.image.methods.logged import Transcript, run_logged
from hyops_assets.image.methods.method import BuildFailed, BuildRequest, MadeDisk
from hyops_assets.image.methods.produced import decode_disk

_CHECKED_SUMS = "md5sum.txt"
_CONFIG, _BOOT_SECTOR_BYTES, _BOOT_TEXT = "/boot/grub/grub.cfg", 446, b"GRUB"
_RECAP = re.compile(r"^\S+\s*:\s*ok=\d+\s.*?\bfailed=(\d+)\s.*?\brescued=(\d+)\s+ignored=(\d+)", re.MULTILINE)
_FATAL = re.compile(r"^(?:fatal|failed): .*$", re.MULTILINE)
_GIB = 1 << 30


class PlaybookNotUsable(Refused):
    """The playbooks cannot be run here, or not for this disk."""


class IsoLacksMd5Sums(PlaybookNotUsable):
    """The ISO carries no `md5sum.txt`, which the playbooks verify before anything else."""


class GrubSkipped(BuildFailed):
    """The play ended well without installing GRUB: the disk would not boot."""


class SwallowedError(BuildFailed):
    """A task failed, and the play ended well all the same."""


def build_with_vm_images(request: BuildRequest) -> MadeDisk:
    """Run `qemu.yml` of the configured checkout and make an image of the disk that it leaves.

    Raises:
        PlaybookNotUsable: no checkout, not root, or a disk size that the playbooks cannot make.
        IsoLacksMd5Sums: the playbooks would refuse this ISO.
        ProgramFailed: the play failed or took too long; carries its last lines.
        SwallowedError: the play ended well after a failed task.
        GrubSkipped: the play ended well without GRUB.
        BuildFailed: the play ended well without a disk of this release.
    """
    settings = request.settings
    checkout = _usable(settings)
    require_root(os.geteuid())
    _require_md5_sums(request.opened)
    images, temporary = request.scratch / "vm-images", request.scratch / "ansible"
    images.mkdir()
    temporary.mkdir()
    transcript = run_logged(
        [
            *("ansible-playbook", "-i", "localhost,", "-c", "local"),
            *("-e", json.dumps(extra_variables(request, images, checkout)), checkout.playbook),
        ],
        stage="vyos-vm-images",
        timeout=checkout.timeout_seconds,
        env={
            "ANSIBLE_STDOUT_CALLBACK": "default",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_LOCAL_TEMP": str(temporary.absolute()),
            "ANSIBLE_REMOTE_TEMP": str(temporary.absolute()),
            "SOURCE_DATE_EPOCH": str(request.opened.epoch),
        },
        cwd=checkout.checkout,
        progress=request.progress,
    )
    ignored = _require_clean(transcript)
    raw = request.scratch / "vm-images.raw"
    produced = _only_disk(images, transcript)
    decode_disk(produced, raw, progress=request.progress)
    produced.unlink()
    _require_grub(raw, request.opened.release)
    finished = finish(
        raw,
        request.opened,
        request.overlay,
        destination=request.destination,
        scratch=request.scratch,
        progress=request.progress,
    )
    raw.unlink()
    return MadeDisk(
        accelerator="none",
        reproducible=False,
        programs=("ansible-playbook",),
        detail={
            "checkout_sha256": checkout_digest(checkout.checkout),
            "ignored_failures": ignored,
            "dropped": finished.dropped,
        },
    )


def extra_variables(request: BuildRequest, images: Path, checkout: VyosVmImages) -> dict[str, str]:
    """Return the play's variables, all of them strings, as its conditions expect.

    `vyos_version` is never set: it would get GRUB installed, and name image and menu entry for another version than
    the one on the disk.
    """
    return {
        "ansible_python_interpreter": str(checkout.python),
        "iso_local": str(request.iso.absolute()),
        "vyos_images_dir": str(images.absolute()),
        "disk_size": str(request.settings.disk_bytes // _GIB),
        "parttable_type": "gpt",
        "grub_console": "serial" if request.settings.console.startswith("ttyS") else "kvm",
        "cloud_init": "false",
    }


def checkout_digest(checkout: Path) -> str:
    """Return one digest of every file of a checkout but git's own: which playbooks ran."""
    digest = hashlib.sha256()
    for path in sorted(checkout.rglob("*")):
        name = path.relative_to(checkout)
        if path.is_file() and ".git" not in name.parts:
            digest.update(f"{name}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


def require_root(user: int) -> None:
    """Refuse any user but root, before minutes have passed.

    Raises:
        PlaybookNotUsable: the user's id is not 0.
    """
    if user != 0:
        raise PlaybookNotUsable(
            "vyos-vm-images needs root: its playbooks attach loop devices, mount file systems and chroot",
            hint="run as root, or use build.method native, which needs no privilege",
        )


def _usable(settings: BuildSettings) -> VyosVmImages:
    configured = settings.vyos_vm_images
    if configured is None:
        raise PlaybookNotUsable(
            "no checkout of vyos-vm-images is configured", hint="set build.vyos_vm_images.checkout in pipeline.yml"
        )
    if not (configured.checkout / configured.playbook).is_file():
        raise PlaybookNotUsable(
            f"{configured.checkout} holds no {configured.playbook}",
            hint="clone vyos-legacy/vyos-vm-images there and review it; builds never fetch it",
        )
    if settings.disk_bytes % _GIB:
        raise PlaybookNotUsable(
            f"vyos-vm-images makes disks of whole GiB, not of {settings.disk_bytes} bytes",
            hint="set build.disk_bytes to a multiple of 1073741824",
        )
    return configured


def _require_md5_sums(opened: OpenedIso) -> None:
    root = opened.squashfs.path.parents[len(Path(SQUASHFS).parts) - 1]
    if not (root / _CHECKED_SUMS).is_file():
        raise IsoLacksMd5Sums(
            f"the ISO of {opened.release} carries no {_CHECKED_SUMS}; vyos-vm-images verifies no other",
            hint="use build.method native: it verifies sha256sum.txt, which VyOS' ISOs carry today",
        )


def _require_clean(transcript: Transcript) -> int:
    """Refuse a play that ended well after a failure; return how many failures it was told to ignore."""
    recaps = [tuple(int(count) for count in found.groups()) for found in _RECAP.finditer(transcript.text)]
    if not recaps:
        raise SwallowedError(
            f"the play ended without its recap; it said last:\n{transcript.tail()}", hint="read its output above"
        )
    failed, rescued, ignored = (sum(counts) for counts in zip(*recaps, strict=True))
    if failed or rescued:
        fatal = _FATAL.findall(transcript.text)
        raise SwallowedError(
            f"the play ended well after {failed + rescued} failed tasks" + (f": {fatal[0]}" if fatal else ""),
            hint="read its output; loop devices and mounts of a failed play may remain: losetup -a",
        )
    return ignored


def _only_disk(images: Path, transcript: Transcript) -> Path:
    found = sorted(path for path in images.iterdir() if path.suffix in (".qcow2", ".raw") and not path.is_symlink())
    if len(found) != 1:
        raise BuildFailed(
            f"the play ended well and left {[path.name for path in found]} in vyos_images_dir, expected one disk; "
            f"it said last:\n{transcript.tail()}",
            hint="read its output above: a failure may have been swallowed",
        )
    return found[0]


def _require_grub(raw: Path, release: str) -> None:
    """Require boot code and a boot menu; whether they are right is for the gates to say."""
    with raw.open("rb") as file:
        boot_code = _BOOT_TEXT in file.read(_BOOT_SECTOR_BYTES)
    root = find_installed(raw).partition
    menu = _CONFIG in Ext4Files(Slot(raw, root.offset, root.size_bytes)).tree
    if not boot_code or not menu:
        missing = " and ".join(what for what, there in (("GRUB's boot code", boot_code), (_CONFIG, menu)) if not there)
        raise GrubSkipped(
            f"the play ended well without installing GRUB: {missing} is missing. vyos-vm-images installs GRUB for "
            f"versions that begin with 1.2 to 1.9 only, and skips it in silence for {release}",
            hint="use build.method native, or a checkout whose install-grub-wrapper knows this form of version",
        )
