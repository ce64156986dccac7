"""GRUB's modules for a look-alike: the directories that a VyOS ISO carries below /usr/lib/grub.

They are taken from Debian's own packages, so that what boots in the lab is what boots on a VyOS disk.
"""

import os
import tempfile
from pathlib import Path

from hyops_assets.image.private import make_private_directory
from hyops_assets.image.programs import run

PLATFORMS = {"i386-pc": "grub-pc-bin", "x86_64-efi": "grub-efi-amd64-bin"}
"""Each platform that a disk boots on, and the Debian package that holds its modules."""

_HOST = Path("/usr/lib/grub")
_IMAGES = ("boot.img", "diskboot.img", "kernel.img", "lzma_decompress.img", "moddep.lst", "modinfo.sh")
_CORE = (
    *("biosdisk", "configfile", "echo", "efi_gop", "efi_uga", "ext2", "fat", "linux", "loadenv", "normal"),
    *("part_gpt", "regexp", "search", "search_label", "serial", "terminal", "test"),
)
"""What a disk's core images are made of, for either platform."""


def lab_cache() -> Path:
    """Return where the lab keeps what it need not fetch twice: `~/.cache/hyops/lab` (XDG Base Directories)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hyops" / "lab"


def grub_modules(cache: Path) -> Path:
    """Return a directory that holds the module directory of every platform.

    The host's own serve where all are installed; else the packages are downloaded once, through apt, which
    verifies them.

    Args:
        cache: kept between calls; created when missing.

    Raises:
        ProgramFailed: apt knows neither package; `apt-get update` brings its lists.
    """
    if all((_HOST / platform / "modinfo.sh").exists() for platform in PLATFORMS):
        return _HOST
    unpacked = cache / "grub"
    if not unpacked.exists():
        make_private_directory(cache)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".grub.") as scratch:
            _download(Path(scratch))
            ready = Path(scratch) / "tree" / "usr" / "lib" / "grub"
            try:
                ready.rename(unpacked)
            except OSError:
                # Another process was faster: its directory is as good as ours.
                if not unpacked.exists():
                    raise
    return unpacked


def files_of_core(directory: Path) -> list[str]:
    """Return the names of the files that `grub-mkimage` reads for a disk's core image: modules with what they need.

    Args:
        directory: a platform's modules, with Debian's `moddep.lst`.
    """
    needs = {
        module: needed.split()
        for module, _, needed in (line.partition(":") for line in (directory / "moddep.lst").read_text().splitlines())
    }
    modules: set[str] = set()
    wanted = list(_CORE)
    while wanted:
        module = wanted.pop()
        if module not in modules and (directory / f"{module}.mod").exists():
            modules.add(module)
            wanted += needs.get(module, [])
    return sorted([name for name in _IMAGES if (directory / name).exists()] + [f"{module}.mod" for module in modules])


def _download(scratch: Path) -> None:
    # As root apt would drop to the user _apt, who cannot write here, and warn.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    run(["apt-get", *sandbox, "download", *PLATFORMS.values()], cwd=scratch, timeout=300)
    for package in sorted(scratch.glob("*.deb")):
        run(["dpkg-deb", "-x", package, scratch / "tree"])
