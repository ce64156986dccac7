"""Build method `vyos-vm-images`: the Ansible playbooks of that name, from a checkout on this host.

They install VyOS onto a raw disk through loop devices and a chroot, as root. Written for VyOS 1.2 to 1.4 and last
changed in March 2024, they end well without a usable disk in four ways, each of which is guarded here: a play whose
group no inventory has runs nothing, GRUB is skipped for a version in the form of today's rolling releases, a failure
is rescued and forgotten, and the ISO's `md5sum.txt`, which they verify, is gone. cloud-init and the guest agent are
left to our overlay: the package repository that the playbooks would take them from has moved.

Before anything else they install packages on this host. Where they mount, and what they write beside the disk, is
given to them below the build's own directory.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hyops_assets.contract.errors import Refused
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.inspection.files import Ext4Files
from hyops_assets.image.intake.iso import SQUASHFS, OpenedIso
from hyops_assets.image.methods.finishing import find_installed, finish
from hyops_assets.image.methods.logged import Transcript, run_logged
from hyops_assets.image.methods.method import BuildFailed, BuildRequest, MadeDisk
from hyops_assets.image.methods.produced import decode_disk
from hyops_assets.image.programs import ProgramFailed, run
from hyops_assets.settings.build import BuildSettings, VyosVmImages

_CHECKED_SUMS = "md5sum.txt"
_CONFIG, _BOOT_SECTOR_BYTES, _BOOT_TEXT = "/boot/grub/grub.cfg", 446, b"GRUB"
_RECAP = re.compile(r"^\S+\s*:\s*ok=\d+\s.*?\bfailed=(\d+)\s.*?\brescued=(\d+)\s+ignored=(\d+)", re.MULTILINE)
_NOTED = re.compile(
    r"^(?P<cause>(?:fatal|failed): |ERROR! )|no hosts matched|^TASK \[.*grub|^skipping: \[", re.IGNORECASE
)
_GRUB_TASK = re.compile(r"^TASK \[.*grub", re.IGNORECASE)
_NO_HOSTS = "no hosts matched"
_NO_MODULE = "couldn't resolve module/action"
_COLLECTIONS = ("ansible.posix", "community.general")
_LISTING_SECONDS = 60.0
_LEFT = "loop devices, mounts and lines in /etc/fstab of a failed play may remain: losetup -a, mount, /etc/fstab"
_GIB = 1 << 30


class PlaybookNotUsable(Refused):
    """The playbooks cannot be run here, or not for this disk."""


class IsoLacksMd5Sums(PlaybookNotUsable):
    """The ISO carries no `md5sum.txt`, which the playbooks verify before anything else."""


class PackagesNotAllowed(PlaybookNotUsable):
    """The play would install packages on this host, which is not allowed."""


class NoHostsMatched(PlaybookNotUsable):
    """The play ended well without running anything: the inventory has no host of its group."""


class CollectionsMissing(PlaybookNotUsable):
    """Ansible lacks modules that the play uses."""


class GrubSkipped(BuildFailed):
    """The play ended well without installing GRUB: the disk would not boot."""


class SwallowedError(BuildFailed):
    """A task failed, and the play ended well all the same."""


def build_with_vm_images(request: BuildRequest) -> MadeDisk:
    """Run `qemu.yml` of the configured checkout and make an image of the disk that it leaves.

    Raises:
        PlaybookNotUsable: no checkout, not root, or a disk size that the playbooks cannot make.
        PackagesNotAllowed: the packages that it installs are not allowed.
        IsoLacksMd5Sums: the playbooks would refuse this ISO.
        NoHostsMatched: nothing was run.
        CollectionsMissing: Ansible is installed without the collections of the full package.
        ProgramFailed: the play failed or took too long; carries its first failure and its last lines.
        SwallowedError: the play ended well after a failed task.
        GrubSkipped: the play ended well without GRUB.
        BuildFailed: the play ended well without a disk of this release.
    """
    settings = request.settings
    checkout = _usable(settings)
    require_root(os.geteuid())
    _require_md5_sums(request.opened)
    images, temporary = request.scratch / "vm-images", request.scratch / "ansible"
    own = request.scratch / "vm-images.work"
    for directory in (images, temporary, own):
        directory.mkdir()
    try:
        transcript = _played(request, checkout, extra_variables(request, images, own, checkout), temporary)
    finally:
        # What a failed play left mounted below the build's directory could not be removed with it.
        unmount_below(own)
    ignored = _require_clean(transcript)
    raw = request.scratch / "vm-images.raw"
    produced = _only_disk(images, transcript)
    decode_disk(produced, raw, progress=request.progress)
    produced.unlink()
    _require_grub(raw, transcript, request.opened.release)
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


def _played(request: BuildRequest, checkout: VyosVmImages, variables: dict[str, str], temporary: Path) -> Transcript:
    """Run the play to its end, and return what it printed."""
    try:
        return run_logged(
            [
                *("ansible-playbook", "-i", checkout.checkout / checkout.inventory, "-c", "local"),
                *("-e", json.dumps(variables), checkout.playbook),
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
            noted=_NOTED,
            progress=request.progress,
        )
    except ProgramFailed as error:
        if _NO_MODULE in error.message:
            raise _collections_missing(error.message) from error
        # Upstream's rescue fails too where the first failure came early, so that this is how most plays end.
        error.hint = f"{error.hint}; {_LEFT}"
        raise


def missing_collections() -> list[str]:
    """Return which collections Ansible lacks that the playbooks use: `mount` and `filesystem` stand in them.

    Raises:
        MissingProgram: Ansible is not installed.
    """
    try:
        listed = run(["ansible-galaxy", "collection", "list"], timeout=_LISTING_SECONDS).text
    except ProgramFailed:
        # How it answers where it has none at all.
        listed = ""
    found = {line.split()[0] for line in listed.splitlines() if line.split()}
    return [name for name in _COLLECTIONS if name not in found]


def _collections_missing(said: str) -> CollectionsMissing:
    found = next((line for line in said.splitlines() if _NO_MODULE in line), said)
    return CollectionsMissing(
        f"Ansible lacks a module that the play uses: {found}",
        hint="install the full ansible (Debian: apt-get install ansible): ansible-core has no mount and no filesystem",
    )


def extra_variables(request: BuildRequest, images: Path, own: Path, checkout: VyosVmImages) -> dict[str, str]:
    """Return the play's variables, all of them strings, as its conditions expect.

    `vyos_version` is never set: it would get GRUB installed, and name image and menu entry for another version than
    the one on the disk. The layout is `hybrid`, upstream's own default and the only one that BIOS and UEFI start. The
    paths stand in the play as /tmp/vyos_raw_image.img and /mnt/…, the same for every build of a host.
    """
    work = own.absolute()
    return {
        "ansible_python_interpreter": str(checkout.python),
        "iso_local": str(request.iso.absolute()),
        "vyos_images_dir": str(images.absolute()),
        "disk_size": str(request.settings.disk_bytes // _GIB),
        "parttable_type": "hybrid",
        "grub_console": "serial" if request.settings.console.startswith("ttyS") else "kvm",
        "cloud_init": "false",
        "vyos_raw_img": str(work / "disk.raw"),
        "vyos_qemu_img": str(work / "disk.qcow2"),
        "vyos_cd_root": str(work / "cdrom"),
        "vyos_cd_squash_root": str(work / "cdsquash"),
        "vyos_write_root": str(work / "wroot"),
        "vyos_read_root": str(work / "squashfs"),
        "vyos_install_root": str(work / "inst_root"),
    }


def unmount_below(directory: Path, table: Path = Path("/proc/self/mounts")) -> None:
    """Unmount what is mounted below a directory, the last one first; what stays mounted is left to its owner."""
    inside = f"{directory.absolute()}/"
    places = [line.split()[1] for line in table.read_text().splitlines() if len(line.split()) > 1]
    # A blank in a path is written in octal there (fstab(5)).
    decoded = [place.replace("\\040", " ") for place in places]
    for place in reversed([one for one in decoded if one.startswith(inside)]):
        with contextlib.suppress(ProgramFailed):
            run(["umount", place])


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
    if not (configured.checkout / configured.inventory).is_file():
        raise PlaybookNotUsable(
            f"{configured.checkout} holds no inventory {configured.inventory} with the group that the play names",
            hint="upstream's checkout has `hosts`; set build.vyos_vm_images.inventory where yours is named otherwise",
        )
    if not configured.may_install_packages:
        raise PackagesNotAllowed(
            "the play begins by installing packages on this host, grub-efi-amd64 among them, which removes grub-pc: a "
            "host that boots by BIOS may lose its boot loader",
            hint="run it on a host made for it and set build.vyos_vm_images.may_install_packages: true, or use native",
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
    """Refuse a play that ended well after a failure; return how many failures it was set to ignore."""
    if any(_NO_HOSTS in line for line in transcript.noted):
        raise NoHostsMatched(
            "the play ended well and ran nothing: no host of the inventory is in the group that it names",
            hint="set build.vyos_vm_images.inventory to the checkout's own inventory",
        )
    recaps = [tuple(int(count) for count in found.groups()) for found in _RECAP.finditer(transcript.text)]
    if not recaps:
        raise SwallowedError(
            f"the play ended without its recap; it said last:\n{transcript.tail()}",
            hint=f"read its output above; {_LEFT}",
        )
    failed, rescued, ignored = (sum(counts) for counts in zip(*recaps, strict=True))
    if failed or rescued:
        fatal = transcript.causes()
        if any(_NO_MODULE in line for line in fatal):
            raise _collections_missing(fatal[0])
        raise SwallowedError(
            f"the play ended well after {failed + rescued} failed tasks" + (f": {fatal[0]}" if fatal else ""),
            hint=f"read its output; {_LEFT}",
        )
    return ignored


def _only_disk(images: Path, transcript: Transcript) -> Path:
    found = sorted(path for path in images.iterdir() if path.suffix in (".qcow2", ".raw") and not path.is_symlink())
    if len(found) != 1:
        raise BuildFailed(
            f"the play ended well and left {[path.name for path in found]} in vyos_images_dir, expected one disk; "
            f"it said last:\n{transcript.tail()}",
            hint=f"read its output above: a failure may have been swallowed; {_LEFT}",
        )
    return found[0]


def _require_grub(raw: Path, transcript: Transcript, release: str) -> None:
    """Require boot code and a boot menu; whether they are right is for the gates to say."""
    with raw.open("rb") as file:
        boot_code = _BOOT_TEXT in file.read(_BOOT_SECTOR_BYTES)
    root = find_installed(raw).partition
    menu = _CONFIG in Ext4Files(Slot(raw, root.offset, root.size_bytes)).tree
    if boot_code and menu:
        return
    missing = " and ".join(what for what, there in (("GRUB's boot code", boot_code), (_CONFIG, menu)) if not there)
    skipped = skipped_grub_tasks(transcript.noted)
    why = (
        f"it skipped {', '.join(skipped)} for {release}: vyos-vm-images installs GRUB for versions that begin with "
        "1.2 to 1.9 only"
        if skipped
        else "none of its tasks for GRUB was skipped, so that the log has to tell why"
    )
    raise GrubSkipped(
        f"the play ended well, and {missing} is missing: {why}",
        hint="use build.method native, or a checkout whose install-grub-wrapper knows this form of version",
    )


def skipped_grub_tasks(noted: Sequence[str]) -> list[str]:
    """Return the names of the tasks about GRUB that a play skipped, from its lines about tasks."""
    following = zip(noted, [*noted[1:], ""], strict=True)
    return [
        line[len("TASK [") :].split("]")[0]
        for line, after in following
        if _GRUB_TASK.search(line) and after.startswith("skipping:")
    ]
