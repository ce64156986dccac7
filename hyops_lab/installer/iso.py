"""The installer's ISO: a VyOS ISO of the lab, and beside its files a kernel that boots to the questions."""

import shutil
import tarfile
import tempfile
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.holes import extents
from hyops_assets.image.programs import find_program, run
from hyops_lab.grub_modules import grub_modules
from hyops_lab.installer.cpio import initramfs
from hyops_lab.iso_layout import set_modes
from hyops_lab.lookalike.rootfs import Rootfs, debian_rootfs

Dialect = Literal["rolling", "two-disks", "1.3", "silent", "panics"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
"""How an installer asks: as VyOS does since 1.4, the same with a question for RAID, as 1.3 did; and two that fail,
one by falling silent after its first question, one by a kernel panic."""

PASSWORD_PLACE = b"the password of the installer stands here" + b"." * 23
"""64 bytes somewhere on the disk, over which the installer writes the password that it was given."""

_MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
_LOADER_MODULES = ("biosdisk", "iso9660", "linux", "normal", "serial", "configfile")
_LOADER = "installer/eltorito.img"
_LOADER_CONFIG = """\
linux /installer/vmlinuz console=ttyS0,115200 quiet panic=0
initrd /installer/initrd
boot
"""
_BLOCK_BYTES = 65536


def make_installer(
    destination: Path, iso: Path, disk: Path, *, release: str, dialect: Dialect = "rolling", cache: Path
) -> Path:
    """Make an ISO that boots under BIOS to an installer look-alike on the first serial port.

    Args:
        destination: the ISO file; it appears when it is complete.
        iso: a miniature ISO; all its files stand in the new one.
        disk: the raw disk that an answered installation leaves on /dev/vda, a whole number of 64 KiB long.
        release: the default name of the image that is installed.
        dialect: what it asks.
        cache: keeps the Debian root whose kernel boots, and GRUB's modules.

    Raises:
        NoSource: this machine's apt has no sources of Debian bookworm.
        MissingProgram, ProgramFailed: a program of the host is missing or failed.
    """
    modules, rootfs = grub_modules(cache), debian_rootfs(cache)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".installer.") as name:
        scratch = Path(name)
        root = scratch / "root"
        run(["xorriso", "-no_rc", "-osirrox", "on", "-indev", iso, "-extract", "/", root])
        set_modes(root)
        (root / "installer").mkdir()
        shutil.copyfile(rootfs.kernel, root / "installer" / "vmlinuz")
        (root / "installer" / "initrd").write_bytes(_initrd(rootfs, disk, release, dialect))
        _write_loader(modules, root / _LOADER, scratch)
        with replacing(destination) as partial:
            run(
                [
                    *("xorriso", "-no_rc", "-as", "mkisofs", "-quiet", "-V", "VyOS", "-J", "-r"),
                    *("-b", _LOADER, "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"),
                    *("--grub2-boot-info", "-o", partial, root),
                ]
            )
    return destination


def _write_loader(modules: Path, loader: Path, scratch: Path) -> None:
    config = scratch / "loader.cfg"
    config.write_text(_LOADER_CONFIG)
    run(
        [
            *("grub-mkimage", "-O", "i386-pc-eltorito", "-d", modules / "i386-pc", "-p", "/installer"),
            *("-c", config, "-o", loader, *_LOADER_MODULES),
        ]
    )


def _initrd(rootfs: Rootfs, disk: Path, release: str, dialect: Dialect) -> bytes:
    payload, table = _payload(disk)
    files = {
        "init": (resources.files("hyops_lab.installer") / "guest" / "init").read_bytes(),
        "bin/busybox": Path(find_program("busybox")).read_bytes(),
        "dialect": dialect.encode(),
        "release": release.encode(),
        "payload": payload,
        "extents": table.encode(),
        "password-at": _password_at(disk).encode(),
        **{f"modules/{name}.ko": content for name, content in _kernel_modules(rootfs).items()},
    }
    # What the kernel runs first is a script of /bin/sh.
    files["bin/sh"] = files["bin/busybox"]
    return initramfs(files, programs=frozenset({"init", "bin/busybox", "bin/sh"}))


def _kernel_modules(rootfs: Rootfs) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(rootfs.tar) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.suffix == ".ko" and path.stem in _MODULES and (file := tar.extractfile(member)):
                found[path.stem] = file.read()
                if len(found) == len(_MODULES):
                    break
    return found


def _payload(disk: Path) -> tuple[bytes, str]:
    """Return a disk's blocks that hold data, and where they go: `seek skip count` in blocks of 64 KiB, by line."""
    blocks: list[int] = []
    with disk.open("rb") as file:
        for extent in extents(file.fileno(), disk.stat().st_size):
            if not extent.hole:
                first = extent.start // _BLOCK_BYTES
                blocks += [at for at in range(first, -(-extent.end // _BLOCK_BYTES)) if at not in blocks[-1:]]
        payload = bytearray()
        runs: list[list[int]] = []
        for at in blocks:
            file.seek(at * _BLOCK_BYTES)
            data = file.read(_BLOCK_BYTES)
            if not data.strip(b"\0"):
                continue
            if runs and runs[-1][0] + runs[-1][2] == at:
                runs[-1][2] += 1
            else:
                runs.append([at, len(payload) // _BLOCK_BYTES, 1])
            payload += data
    return bytes(payload), "".join(f"{at} {skip} {count}\n" for at, skip, count in runs)


def _password_at(disk: Path) -> str:
    """Return where on the disk the place for the password begins; empty where it has none."""
    with disk.open("rb") as file:
        for extent in extents(file.fileno(), disk.stat().st_size):
            if not extent.hole:
                file.seek(extent.start)
                at = file.read(extent.end - extent.start).find(PASSWORD_PLACE)
                if at >= 0:
                    return str(extent.start + at)
    return ""
