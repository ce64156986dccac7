"""A kernel-less look-alike of the VyOS ISO: everything the pipeline reads, nothing that boots, in two seconds.

For tests of all steps but booting. The bootable look-alike is made elsewhere, in minutes; both have the layout of
`iso_layout` and the GRUB templates of `hyops_lab/grub`.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from hyops_assets.contract.version import iso_file_name
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.programs import run
from hyops_lab.grub_modules import PLATFORMS, files_of_core, grub_modules, lab_cache
from hyops_lab.iso_layout import KERNEL_VERSION, LiveFiles, built_at, set_modes, version_json, write_iso
from hyops_lab.signing import LabKey

VYATTACFG = 102
"""The group id of `vyattacfg` in a look-alike."""

_GRUB_TEMPLATES = "grub"
_USRMERGE = ("bin", "sbin", "lib", "lib64")
# Name, version, Multi-Arch: without the last apt takes a dependency on python3:any for unmet.
_PACKAGES = (
    ("base-files", "12.4+deb12u12", None),
    ("ca-certificates", "20230311+deb12u1", "foreign"),
    ("debconf", "1.5.82", "foreign"),
    ("e2fsprogs", "1.47.0-2+b2", "foreign"),
    ("eject", "2.38.1-5+deb12u3", "foreign"),
    ("fdisk", "2.38.1-5+deb12u3", "foreign"),
    ("gdisk", "1.0.9-2.1", None),
    ("libc-bin", "2.36-9+deb12u13", "foreign"),
    ("libc6", "2.36-9+deb12u13", "same"),
    ("libglib2.0-0", "2.74.6-2+deb12u7", "same"),
    ("locales", "2.36-9+deb12u13", "foreign"),
    ("netbase", "6.4", "foreign"),
    ("procps", "2:4.0.2-3", "foreign"),
    ("libpython3-stdlib", "3.11.2-1+b1", "allowed"),
    ("python3", "3.11.2-1+b1", "allowed"),
    ("python3-minimal", "3.11.2-1+b1", "allowed"),
    ("init-system-helpers", "1.65.2", "foreign"),
    ("isc-dhcp-client", "4.4.3-P1-2", None),
)
_CONFIG = """\
interfaces {
    loopback lo {
    }
}
system {
    config-management {
        commit-revisions "100"
    }
    console {
        device ttyS0 {
            speed "115200"
        }
    }
    host-name "vyos"
    login {
        user vyos {
            authentication {
                encrypted-password "%(password)s"
                plaintext-password ""
            }
        }
    }
    syslog {
        local {
            facility all {
                level "info"
            }
        }
    }
}
"""
_FOOTER = """\

// Warning: Do not remove the following line.
// vyos-config-version: "config-management@1:conntrack@5:interfaces@33:system@29"
// Release version: %(release)s
"""
# The password vyos, as every VyOS ISO has it: what the pipeline must disarm.
_DEFAULT_PASSWORD = (
    "$6$hyopslab$anMMM6mKaw8iMy.ZlTdsMUcDabtQLmB52iL146mdt5Ylbz6qKD656NOsI8p1BQPY3lWoym.jYdncllYdyiXl.1"  # noqa: S105
)


@dataclass(frozen=True)
class MadeIso:
    """An ISO and, beside it, its minisign signature."""

    iso: Path
    minisig: Path


@dataclass(frozen=True)
class Oddities:
    """What an ISO gets wrong on purpose, so that a test can see it refused, or its payload large.

    Attributes:
        version_json: changes keys of version.json, on the ISO and in the squashfs.
        installed_version: what /opt/vyatta/etc/version says.
        payload_bytes: so many incompressible bytes go into the squashfs.
        files: the squashfs' files and their bytes, by path without the leading slash; None removes what is there.
        links: symlinks in the squashfs and what they lead to; they replace what is there.
        pseudo: definitions of what only mksquashfs can make: `dev/null c 666 0 0 1 3`.
        renamed: names in the squashfs and what is patched over them, of the same length: for names that no file
            system would take. Each must stand in it once.
    """

    version_json: Mapping[str, str] | None = None
    installed_version: str | None = None
    payload_bytes: int = 0
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    pseudo: Sequence[str] = ()
    renamed: Mapping[bytes, bytes] = field(default_factory=dict)


def make_miniature(
    destination: Path,
    release: str,
    key: LabKey,
    *,
    cache: Path | None = None,
    oddities: Oddities | None = None,
) -> MadeIso:
    """Make a kernel-less look-alike of a release's ISO; the same arguments give the same bytes.

    Args:
        destination: directory for the ISO, which gets the name under which VyOS publishes it.
        release: the release that it claims to be.
        key: signs it, at the time that the release was built.
        cache: where GRUB's modules are kept between calls; `~/.cache/hyops/lab` by default.
        oddities: what it gets wrong on purpose.

    Raises:
        ProgramFailed: GRUB's modules are neither installed nor downloadable.
    """
    odd = oddities or Oddities()
    modules = grub_modules(cache or lab_cache())
    destination.mkdir(parents=True, exist_ok=True)
    described = version_json(release, odd.version_json)
    with tempfile.TemporaryDirectory(dir=destination, prefix=".miniature.") as scratch:
        root = Path(scratch) / "root"
        # Kept aside: what the squashfs gets wrong, live/ has right.
        kernel, initrd = (
            Path(shutil.copyfile(path, Path(scratch) / path.name)) for path in _stage_boot(root, release)
        )
        _stage_system(root, release, described, odd)
        stage_grub(root, modules)
        _spoil(root, odd)
        set_modes(root)
        squashfs = Path(scratch) / "filesystem.squashfs"
        _squash(root, squashfs, int(built_at(release).timestamp()), odd)
        live = LiveFiles(squashfs, kernel, initrd)
        iso = write_iso(destination / iso_file_name(release), live, release=release, described=described)
    minisig = iso.with_name(f"{iso.name}.minisig")
    with replacing(minisig) as partial:
        partial.write_text(key.sign_file(iso, iso.name, built_at(release)))
    return MadeIso(iso, minisig)


def stage_grub(root: Path, modules: Path) -> None:
    """Put the GRUB modules that a disk boots with, and the boot menu's templates, where VyOS keeps them.

    Args:
        root: the root directory that becomes a squashfs.
        modules: from `grub_modules`.
    """
    for platform in PLATFORMS:
        staged = root / "usr/lib/grub" / platform
        staged.mkdir(parents=True)
        # All three hundred modules are most of what building, opening and inspecting a miniature would take.
        for name in files_of_core(modules / platform):
            shutil.copyfile(modules / platform / name, staged / name)
    templates = root / "usr/share/vyos/templates/grub"
    templates.mkdir(parents=True)
    for template in resources.files("hyops_lab").joinpath(_GRUB_TEMPLATES).iterdir():
        (templates / template.name).write_bytes(template.read_bytes())


def default_config() -> str:
    """Return the configuration of a VyOS ISO: the login vyos with the password that everyone knows.

    Since the middle of 2024 it carries no footer: VyOS adds that of the release to the copy that it starts from.
    """
    return _CONFIG % {"password": _DEFAULT_PASSWORD}


def config_footer(release: str) -> str:
    """Return what a release writes behind a configuration that it saves: its version, and those of its parts."""
    return _FOOTER % {"release": release}


def saved_config(release: str) -> str:
    """Return the ISO's configuration as VyOS saves it."""
    return f"{default_config()}\n{config_footer(release)}"


def _stage_boot(root: Path, release: str) -> tuple[Path, Path]:
    boot = root / "boot"
    boot.mkdir(parents=True)
    # Enough for a squashfs of more than 4 MiB: a disk's large files are written in another way than its small ones.
    files = {f"vmlinuz-{KERNEL_VERSION}": 1 << 20, f"initrd.img-{KERNEL_VERSION}": 4 << 20}
    for name, size in files.items():
        (boot / name).write_bytes(_noise(f"{release}/{name}", size))
        (boot / name.removesuffix(f"-{KERNEL_VERSION}")).symlink_to(name)
    (boot / f"config-{KERNEL_VERSION}").write_text("CONFIG_OVERLAY_FS=m\n")
    kernel, initrd = (boot / name for name in files)
    return kernel, initrd


def _stage_system(root: Path, release: str, described: bytes, odd: Oddities) -> None:
    files: dict[str, str | bytes] = {
        "etc/debian_version": "12.12\n",
        "etc/group": f"root:x:0:\nadm:x:4:\nsudo:x:27:\nvyattacfg:x:{VYATTACFG}:\n",
        "etc/os-release": f'NAME="VyOS"\nID=vyos\nVERSION_ID="{release}"\n',
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
        "etc/shadow": "root:*:20000:0:99999:7:::\n",
        "etc/systemd/system/.keep": "",
        "opt/vyatta/share/vyatta-cfg/templates/system/host-name/node.def": "type: txt\nhelp: System host name\n",
        "opt/vyatta/etc/version": f"Version: {odd.installed_version or release}\n",
        "usr/bin/.keep": "",
        "usr/lib64/.keep": "",
        "usr/lib/python3/dist-packages/vyos/system/__init__.py": "SYSTEM_CFG_VER = 1\n",
        "usr/lib/systemd/system/.keep": "",
        "usr/sbin/dhclient": "#!/bin/sh\n",
        "usr/share/vyos/config.boot.default": default_config(),
        "usr/share/vyos/flavor.json": '{"console_type": "ttyS", "console_num": "0", "console_speed": "115200"}\n',
        "usr/share/vyos/version.json": described,
        "var/lib/dpkg/status": "\n".join(_stanza(*package) for package in _PACKAGES),
    }
    if odd.payload_bytes:
        files["usr/lib/payload"] = _noise(f"{release}/payload", odd.payload_bytes)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    (root / "usr/sbin/dhclient").chmod(0o755)
    for name in ("dev", "home", "mnt", "opt/vyatta/etc/config", "proc", "root", "run", "sys", "tmp", "var/log"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _USRMERGE:
        (root / name).symlink_to(f"usr/{name}")


def _stanza(name: str, version: str, multi_arch: str | None) -> str:
    extra = f"Multi-Arch: {multi_arch}\n" if multi_arch else ""
    return (
        f"Package: {name}\nStatus: install ok installed\nMaintainer: HyOps lab <lab@hyops.invalid>\n"
        f"Architecture: amd64\n{extra}Version: {version}\nDescription: {name}\n"
    )


def _spoil(root: Path, odd: Oddities) -> None:
    for name in (*odd.files, *odd.links):
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = odd.files.get(name)
        if content is not None:
            path.write_bytes(content)
        if name in odd.links:
            path.symlink_to(odd.links[name])


def _squash(root: Path, squashfs: Path, epoch: int, odd: Oddities) -> None:
    modified = {"opt/vyatta/etc/config": f"2775 0 {VYATTACFG}", "root": "700 0 0", "tmp": "1777 0 0"}
    modified["etc/shadow"] = "640 0 42"
    definitions = [*(f"{path} m {change}" for path, change in modified.items()), *odd.pseudo]
    pseudo = [word for definition in definitions for word in ("-p", definition)]
    run(
        [
            *("mksquashfs", root, squashfs, "-quiet", "-no-progress", "-noappend", "-no-xattrs", "-all-root"),
            *("-comp", "zstd", "-Xcompression-level", "1", "-b", "256k"),
            *("-mkfs-time", str(epoch), "-all-time", str(epoch), *pseudo),
            # Names can be patched where they stand as they are.
            *(["-noI"] if odd.renamed else []),
        ]
    )
    if odd.renamed:
        content = squashfs.read_bytes()
        for name, other in odd.renamed.items():
            if content.count(name) != 1 or len(name) != len(other):
                raise ValueError(name)
            content = content.replace(name, other)
        squashfs.write_bytes(content)


def _noise(seed: str, size: int) -> bytes:
    """Return bytes that no compressor shrinks, the same for the same seed."""
    return hashlib.shake_256(seed.encode()).digest(size)
