"""The Debian system of a look-alike, without anything of a release: made once by mmdebstrap, then kept.

Needs the network once, through the apt sources of this machine. Runs as root and as an ordinary user (then through
user namespaces or fakechroot, whichever mmdebstrap finds).
"""

import hashlib
import os
import tarfile
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from filelock import FileLock

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.overlay.sources import host_sources
from hyops_assets.image.private import make_private_directory
from hyops_assets.image.programs import ProgramFailed, run

SUITE = "bookworm"
PACKAGES = (
    "dbus",
    "e2fsprogs",
    "grub-efi-amd64-bin",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "initramfs-tools",
    "iproute2",
    "isc-dhcp-client",
    "linux-image-cloud-amd64",
    "python3",
    "python3-minimal",
    "shim-signed",
    "systemd-sysv",
    "tzdata",
    "udev",
    "zstd",
)
"""What a VyOS root holds that the pipeline or its boot needs. No cloud-init: the overlay brings it."""

_GENERATORS = (
    *("bless-boot", "cryptsetup", "debug", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local", "run"),
    *("system-update", "sysv", "veritysetup"),
)
_LEFT_OUT = (
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"),
    # Of the kernel's 1,100 modules an emulated guest would load KVM, AES and more, and check the signature of each.
    "/lib/modules/*/kernel/*",
    # 20 MiB that name vendors of hardware, and that udev reads for every device.
    "/lib/udev/hwdb.d/*",
    # GRUB for networks and CDs, and character sets that no program here converts.
    *("/usr/lib/grub/x86_64-efi-signed/gcd*", "/usr/lib/grub/x86_64-efi-signed/grubnet*"),
    "/usr/lib/x86_64-linux-gnu/gconv/*",
    # What the initrd does not need: device mapper, checks of file systems, fans.
    *(f"/usr/share/initramfs-tools/hooks/{name}" for name in ("dmsetup", "fsck", "thermal")),
    # systemd starts every generator before its first unit; a program costs an emulated guest up to a second.
    *(f"/lib/systemd/system-generators/systemd-{name}-generator" for name in _GENERATORS),
)
_KERNEL_MODULES = (
    *("autofs4", "binfmt_misc", "button", "cdrom", "configfs", "crc16", "crc32c_generic", "efivarfs", "evdev"),
    *("ext4", "failover", "fat", "isofs", "jbd2", "loop", "mbcache", "net_failover", "nls_ascii", "nls_cp437"),
    *("nls_iso8859-1", "nls_utf8", "overlay", "rng-core", "scsi_common", "scsi_mod", "sd_mod", "sr_mod", "squashfs"),
    *("vfat", "virtio", "virtio-rng", "virtio_balloon", "virtio_blk", "virtio_console", "virtio_net", "virtio_pci"),
    *("virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_ring", "virtio_scsi"),
    *("crc-t10dif", "crct10dif_common", "crct10dif_generic", "crc64", "crc64-rocksoft", "crc64_rocksoft_generic"),
)
"""All that a guest with virtio devices loads, by file name; a module that the kernel has built in may be named."""
_MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_TIMEOUT_SECONDS = 1200.0


class CannotVerify(HyopsError):
    """mmdebstrap's apt did not get to verify what it downloaded. Nothing was kept."""


@dataclass(frozen=True)
class Rootfs:
    """A finished Debian root. `tar` has no end-of-archive blocks, so that more members can follow it."""

    tar: Path
    kernel: Path
    initrd: Path


def debian_rootfs(cache: Path, *, progress: Progress = silent) -> Rootfs:
    """Return the look-alike's Debian root, from the cache where it was made before.

    Args:
        cache: directory of finished roots, by content of their recipe.
        progress: called with the stage; a first run takes a minute.

    Raises:
        NoSource: this machine's apt has no sources of Debian bookworm.
        CannotVerify: a directory on the way is closed to whom apt verifies as.
        ProgramFailed: mmdebstrap failed otherwise; its last lines tell why.
    """
    home = cache / f"rootfs-{recipe_digest()[:16]}"
    made = Rootfs(home / "rootfs.tar", home / "vmlinuz", home / "initrd.img")
    make_private_directory(cache)
    with FileLock(cache / f"{home.name}.lock"):
        if not home.is_dir():
            progress("Debian packages", 0, None)
            # Its own name each time: what a killed run left is never taken for a finished root.
            with tempfile.TemporaryDirectory(dir=cache, prefix=f".{home.name}.") as scratch:
                _bootstrap(Path(scratch))
                _open_ended(Path(scratch) / made.tar.name)
                (Path(scratch) / "ready").mkdir()
                for name in (made.tar.name, made.kernel.name, made.initrd.name):
                    (Path(scratch) / name).rename(Path(scratch) / "ready" / name)
                (Path(scratch) / "ready").rename(home)
    return made


def recipe_digest() -> str:
    """Return the digest of what decides a root besides Debian's packages themselves."""
    kept = (*PACKAGES, *_LEFT_OUT, *_KERNEL_MODULES)
    recipe = [SUITE, *kept, *(f"{name}\n{text}" for name, text in sorted(_guest_files().items()))]
    return hashlib.sha256("\0".join(recipe).encode()).hexdigest()


def _guest_files() -> dict[str, str]:
    guest = resources.files("hyops_lab.lookalike") / "guest"
    return {
        name: (guest / name).read_text()
        for name in ("delay", "extract", "finish", "hook", "live", "modules", "prepare")
    }


def _bootstrap(scratch: Path) -> None:
    """Make rootfs.tar, vmlinuz and initrd.img in `scratch`."""
    for name, text in _guest_files().items():
        (scratch / name).write_text(text)
        (scratch / name).chmod(0o755)
    (scratch / "left-out").write_text(_dpkg_configuration())
    sources = scratch / "sources.list"
    sources.write_text("".join(f"{source.line}\n" for source in host_sources(SUITE)))
    try:
        run(
            mmdebstrap_arguments(scratch, sources, as_root=os.geteuid() == 0),
            # INITRD: the kernel's package makes none, and none after it makes it again: `finish` makes the only one.
            env={"INITRD": "No"} | {name: os.environ[name] for name in _PROXIES if name in os.environ},
            timeout=_TIMEOUT_SECONDS,
        )
    except ProgramFailed as error:
        if "gpgv" not in error.message:
            raise
        where = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - mmdebstrap's own default
        raise CannotVerify(
            f"apt could not verify Debian's packages below {where}, as it does where its user _apt or this user's "
            "subordinate ids cannot enter a directory on the way",
            hint="set TMPDIR to a directory that every user may enter, such as /var/tmp, and run again",
        ) from error


def _dpkg_configuration() -> str:
    """Return what dpkg leaves out of packages, as dpkg.cfg(5) has it: the last line that matches a path counts."""
    lines = [f"path-exclude={pattern}" for pattern in _LEFT_OUT]
    lines += [f"path-include=/lib/modules/*/{name}.ko" for name in _KERNEL_MODULES]
    return "".join(f"{line}\n" for line in lines)


def mmdebstrap_arguments(scratch: Path, sources: Path, *, as_root: bool) -> list[str | Path]:
    """Return the call that makes rootfs.tar, vmlinuz and initrd.img in `scratch`.

    As root, apt is kept from dropping to its user `_apt`, which enters no directory of mode 0700: whether it may is
    looked at by mmdebstrap for one directory only. What it downloads is verified by its signature all the same.
    """
    sandbox = [
        '--aptopt=APT::Sandbox::User "root"',
        # Noted in the root as well, where it has no business.
        '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
    ]
    return [
        # Debian's essential packages and what is named: apt, with libraries of its own, is run from outside.
        *("mmdebstrap", "--mode=auto", "--variant=essential", "--format=tar"),
        *(sandbox if as_root else ()),
        # A root that is thrown away when the machine fails need not be on the disk after every file.
        "--dpkgopt=force-unsafe-io",
        # /usr merged from the beginning: the package usrmerge would do it with the whole of Perl, 50 MB.
        f"--hook-dir={_MERGED_USR}",
        *(f"--include={','.join(PACKAGES)}", f"--extract-hook={scratch / 'extract'}"),
        f"--essential-hook={scratch / 'prepare'}",
        *(f"--customize-hook={scratch / 'finish'}", SUITE, scratch / "rootfs.tar", sources),
    ]


def _open_ended(tar: Path) -> None:
    """Cut the end-of-archive blocks off."""
    with tarfile.open(tar) as archive:
        archive.getmembers()
        end = archive.offset
    with tar.open("r+b") as file:
        file.seek(end)
        while block := file.read(tarfile.BLOCKSIZE):
            if block.strip(b"\0"):
                raise HyopsError(f"{tar.name} goes on after its end", hint="remove the cache and run again")
        file.truncate(end)
