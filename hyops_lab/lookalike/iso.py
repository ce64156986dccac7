"""The look-alike's ISO: the kept Debian root, plus what makes it one release of VyOS.

The squashfs is written from one tar stream, root first and the release's own files behind it: nothing is unpacked,
so owners, modes and device nodes need no privilege.
"""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import IO

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.programs import ProgramFailed, running
from hyops_lab.iso_layout import LiveFiles, built_at, version_json, write_iso
from hyops_lab.lookalike import schema
from hyops_lab.lookalike.rootfs import Rootfs, debian_rootfs, recipe_digest
from hyops_lab.miniature import config_footer, default_config

_COPY_BYTES = 4 << 20
_PYTHON = "usr/lib/python3/dist-packages/vyos"
_TEMPLATES = "opt/vyatta/share/vyatta-cfg/templates"


def make_lookalike(destination: Path, release: str, *, cache: Path, progress: Progress = silent) -> Path:
    """Make a bootable look-alike of a release's ISO, unsigned. The same cached root gives the same bytes.

    Args:
        destination: the ISO file; it appears when it is complete.
        release: the release that it claims to be.
        cache: keeps the Debian root (400 MB), so that the next ISO takes seconds instead of a minute.
        progress: called with the stage.

    Raises:
        NoSource: this machine's apt has no sources of Debian bookworm.
        ProgramFailed: a program failed; its last lines tell why.
    """
    rootfs = debian_rootfs(cache, progress=progress)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".lookalike.") as scratch:
        squashfs = Path(scratch) / "filesystem.squashfs"
        progress("squashfs", 0, rootfs.tar.stat().st_size)
        _squash(rootfs, release, squashfs)
        progress("ISO", 0, squashfs.stat().st_size)
        live = LiveFiles(squashfs, rootfs.kernel, rootfs.initrd)
        return write_iso(destination, live, release=release, described=version_json(release))


def lookalike_digest(release: str) -> str:
    """Return the digest of what decides a look-alike: another one means that a kept ISO is out of date."""
    parts = [recipe_digest().encode(), *(part for item in sorted(release_files(release).items()) for part in item)]
    return hashlib.sha256(b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)).hexdigest()


def release_files(release: str) -> dict[str, bytes]:
    """Return the files of a VyOS root that a Debian root lacks, by path without the leading slash."""
    here = resources.files("hyops_lab.lookalike")
    templates = resources.files("hyops_lab") / "grub"
    files = {
        "etc/hostname": b"vyos\n",
        "opt/vyatta/etc/version": f"Version: {release}\n".encode(),
        "usr/lib/os-release": (
            f'PRETTY_NAME="VyOS {release} (look-alike)"\nNAME="VyOS"\nID=vyos\nID_LIKE=debian\n'
            f'VERSION_ID="{release}"\nVERSION_CODENAME=current\n'
        ).encode(),
        f"{_PYTHON}/__init__.py": b"",
        f"{_PYTHON}/system/__init__.py": b"SYSTEM_CFG_VER = 1\n",
        f"{_PYTHON}/configtree.py": (here / "configtree.py").read_bytes(),
        f"{_PYTHON}/validation.py": (here / "validation.py").read_bytes(),
        "usr/share/vyos/config.boot.default": default_config().encode(),
        "usr/share/vyos/flavor.json": b'{"console_type": "ttyS", "console_num": "0", "console_speed": "115200"}\n',
        "usr/share/vyos/version.json": version_json(release),
    }
    files |= {f"usr/share/vyos/templates/grub/{item.name}": item.read_bytes() for item in templates.iterdir()}
    guest = here / "guest"
    files |= {
        # A shell's: it runs at each first boot, and starts in a tenth of the time of Python's.
        "usr/libexec/vyos/add-system-version.py": f"#!/bin/sh\ncat <<'EOF'\n{config_footer(release)}EOF\n".encode(),
        "usr/libexec/vyos/run-config-migration.py": (guest / "run-config-migration").read_bytes(),
        "usr/libexec/vyos/validate-value": (guest / "validate-value").read_bytes(),
        "usr/libexec/vyos/init/vyos-router": (guest / "vyos-router").read_bytes(),
        "usr/lib/systemd/system/vyos-router.service": (guest / "vyos-router.service").read_bytes(),
        # A drop-in, because a tar member of this list is a file: it does what a link in multi-user.target.wants does.
        "usr/lib/systemd/system/multi-user.target.d/vyos-router.conf": b"[Unit]\nWants=vyos-router.service\n",
    }
    files |= {f"{_TEMPLATES}/{name}": text.encode() for name, text in schema.templates().items()}
    return files


def _squash(rootfs: Rootfs, release: str, squashfs: Path) -> None:
    epoch = str(int(built_at(release).timestamp()))
    # From a tar, mksquashfs 4.5 gives the root directory itself to the user who runs it, whatever -root-uid says.
    as_root = () if os.geteuid() == 0 else ("fakeroot",)
    argv = [
        *(*as_root, "mksquashfs", "-", squashfs, "-tar", "-quiet", "-no-progress", "-noappend"),
        *("-root-mode", "755"),
        # An emulated guest unpacks what it reads, and the table of files is read most: that is stored as it is. Small
        # files share no block, all of which would have to be unpacked for one of them.
        *("-no-fragments", "-noI", "-b", "64K"),
        *("-comp", "zstd", "-Xcompression-level", "3", "-mkfs-time", epoch, "-all-time", epoch),
    ]
    with running(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        if process.stdin is None or process.stderr is None:
            raise AssertionError
        try:
            with rootfs.tar.open("rb") as tar:
                shutil.copyfileobj(tar, process.stdin, _COPY_BYTES)
            _write_members(process.stdin, release)
            process.stdin.close()
        except BrokenPipeError:
            # It ended early; its own words below say why.
            pass
        printed = process.stderr.read().decode(errors="replace")
        if process.wait() != 0:
            raise ProgramFailed(["mksquashfs"], f"failed with exit status {process.returncode}", printed)


def _write_members(stream: IO[bytes], release: str) -> None:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        files = release_files(release)
        # A directory that tar does not name would get the mode and owner of the user who runs this.
        for directory in sorted({parent for path in files for parent in PurePosixPath(path).parents}):
            member = tarfile.TarInfo(f"./{directory}")
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for path, content in sorted(files.items()):
            member = tarfile.TarInfo(f"./{path}")
            member.size = len(content)
            member.mode = 0o755 if content.startswith(b"#!") else 0o644
            tar.addfile(member, io.BytesIO(content))
