import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.disk.grub import CONFIG_DIRECTORY
from hyops_assets.image.inspection.questions import QUESTIONS, Expected, Finding, inspect
from hyops_assets.image.overlay.overlay import CONFIGURATION, GROW_UNIT, HELPER
from hyops_assets.image.programs import run
from hyops_assets.lab.miniature import default_config
from tests.image.conftest import RELEASE

IMAGE = f"/boot/{RELEASE}"
UPPER = f"{IMAGE}/rw"
WANTS = f"{UPPER}/etc/systemd/system/cloud-init.target.wants"
DEFAULT_CONFIG = f"{UPPER}/usr/share/vyos/config.boot.default"
SECTOR = 512


@dataclass(frozen=True)
class Bench:
    """A disk to be spoiled, and the tools to do it."""

    disk: Path
    scratch: Path

    def patch(self, at: int, content: bytes) -> None:
        with self.disk.open("r+b") as file:
            file.seek(at)
            file.write(content)

    def debugfs(self, *commands: str) -> None:
        root = read_table(self.disk).partitions[2]
        script = self.scratch / "script"
        script.write_text("".join(f"{command}\n" for command in commands))
        done = run(["debugfs", "-w", "-f", script, f"{self.disk}?offset={root.offset}"])
        assert len(done.stderr.splitlines()) == 1, done.stderr

    def read(self, path: str) -> str:
        root = read_table(self.disk).partitions[2]
        return run(["debugfs", "-R", f"cat {path}", f"{self.disk}?offset={root.offset}"]).text

    def exists(self, path: str) -> bool:
        root = read_table(self.disk).partitions[2]
        return (
            "File not found" not in run(["debugfs", "-R", f"stat {path}", f"{self.disk}?offset={root.offset}"]).stderr
        )

    def write(self, path: str, content: str | bytes) -> None:
        """Put a file at a path of partition 3, over one that stands there, in directories that are made."""
        source = self.scratch / "content"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        self.make_directories(os.path.dirname(path))  # noqa: PTH120
        if self.exists(path):
            self.debugfs(f"rm {path}")
        self.debugfs(f"write {source} {path}")

    def make_directories(self, path: str) -> None:
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            directory = "/" + "/".join(parts[:depth])
            if not self.exists(directory):
                self.debugfs(f"mkdir {directory}")

    def replace(self, path: str, old: str, new: str) -> None:
        text = self.read(path)
        assert old in text
        self.write(path, text.replace(old, new))


Plant = Callable[[Bench], None]

FAULTS: dict[str, tuple[str, Plant]] = {
    "a damaged header of the backup table": (
        "partition_table",
        lambda bench: bench.patch(bench.disk.stat().st_size - SECTOR + 40, b"\xff"),
    ),
    "other boot code": ("starts_under_bios", lambda bench: bench.patch(0x180, b"LILO")),
    "boot code that looks for the core elsewhere": (
        "starts_under_bios",
        lambda bench: bench.patch(0x5C, struct.pack("<Q", 34)),
    ),
    "a core image that is cut off": (
        "starts_under_bios",
        lambda bench: bench.patch(2048 * SECTOR + 508, struct.pack("<H", 1500)),
    ),
    "an EFI loader for another machine": ("starts_under_uefi", lambda bench: loader(bench, machine=0xAA64)),
    "no EFI loader": ("starts_under_uefi", lambda bench: loader(bench, machine=None)),
    "another label": (
        "file_system_is_sound",
        lambda bench: bench.debugfs("set_super_value volume_name PERSISTENCE"),
    ),
    "a link count that e2fsck would repair": (
        "file_system_is_sound",
        lambda bench: bench.debugfs("sif /persistence.conf links_count 7"),
    ),
    "a second image": ("holds_one_image", lambda bench: bench.debugfs("mkdir /boot/1.4.0")),
    "a second menu entry": (
        "holds_one_image",
        lambda bench: bench.write(f"{CONFIG_DIRECTORY}/vyos-versions/1.4.0.cfg", "\n"),
    ),
    "a squashfs with another date in its header": ("squashfs_is_the_isos", lambda bench: redated(bench)),
    "a changed kernel": ("kernel_is_the_isos", lambda bench: bench.write(f"{IMAGE}/vmlinuz", b"another kernel")),
    "an empty initrd": ("kernel_is_the_isos", lambda bench: bench.write(f"{IMAGE}/initrd.img", b"")),
    "a default that no entry has": (
        "default_entry_starts_the_image",
        lambda bench: bench.replace(f"{CONFIG_DIRECTORY}/20-vyos-defaults-autoload.cfg", "uuid5-", "uuid4-"),
    ),
    "an entry with another overlay": (
        "default_entry_starts_the_image",
        lambda bench: bench.replace(
            f"{CONFIG_DIRECTORY}/vyos-versions/{RELEASE}.cfg", f"vyos-union={IMAGE}", "vyos-union=/boot/1.4.0"
        ),
    ),
    "an entry with another kernel": (
        "default_entry_starts_the_image",
        lambda bench: bench.replace(
            f"{CONFIG_DIRECTORY}/vyos-versions/{RELEASE}.cfg", f"{IMAGE}/vmlinuz", f"{IMAGE}/vmlinux"
        ),
    ),
    "another console": (
        "console_is_set",
        lambda bench: bench.replace(
            f"{CONFIG_DIRECTORY}/20-vyos-defaults-autoload.cfg", 'console_type="ttyS"', 'console_type="tty"'
        ),
    ),
    "work without work in it": ("overlay_is_laid_out", lambda bench: bench.debugfs(f"rmdir {IMAGE}/work/work")),
    "persistence of something else": (
        "overlay_is_laid_out",
        lambda bench: bench.write("/persistence.conf", "/home union\n"),
    ),
    "a configuration directory that its group cannot write": (
        "overlay_is_laid_out",
        lambda bench: bench.debugfs(f"sif {UPPER}/opt/vyatta/etc/config mode 040755"),
    ),
    "a configuration directory without its mark": (
        "overlay_is_laid_out",
        lambda bench: bench.debugfs(f"rm {UPPER}/opt/vyatta/etc/config/.vyatta_config"),
    ),
    "a real /lib": ("merged_directories_stay_links", lambda bench: bench.debugfs(f"mkdir {UPPER}/lib")),
    "a real /sbin": ("merged_directories_stay_links", lambda bench: bench.debugfs(f"mkdir {UPPER}/sbin")),
    "another list of datasources": (
        "datasources_are_the_expected",
        lambda bench: bench.replace(UPPER + CONFIGURATION, "NoCloud, ConfigDrive, ", "NoCloud, "),
    ),
    "a later file that changes the datasources": (
        "datasources_are_the_expected",
        lambda bench: bench.write(f"{UPPER}/etc/cloud/cloud.cfg.d/99-zz.cfg", "datasource_list: [ None ]\n"),
    ),
    "a stage of cloud-init that nothing starts": (
        "cloud_init_is_enabled",
        lambda bench: bench.debugfs(f"rm {WANTS}/cloud-final.service"),
    ),
    "a masked stage of cloud-init": (
        "cloud_init_is_enabled",
        lambda bench: bench.debugfs(f"symlink {UPPER}/etc/systemd/system/cloud-config.service /dev/null"),
    ),
    "cloud-init switched off": (
        "cloud_init_is_enabled",
        lambda bench: bench.write(f"{UPPER}/etc/cloud/cloud-init.disabled", ""),
    ),
    "another helper": ("helper_is_the_canonical_one", lambda bench: bench.write(UPPER + HELPER, "# patched\n")),
    "no guest agent": ("guest_agent_is_enabled", lambda bench: bench.debugfs(f"rm {UPPER}/usr/sbin/qemu-ga")),
    "a guest agent that nothing starts": (
        "guest_agent_is_enabled",
        lambda bench: bench.debugfs(f"rm {UPPER}/usr/lib/udev/rules.d/60-qemu-guest-agent.rules"),
    ),
    "no growing": (
        "grows_to_its_disk",
        lambda bench: bench.debugfs(f"rm {grow_link(bench)}"),
    ),
    "the login of every ISO, because the overlay does not hide it": (
        "no_default_credentials",
        lambda bench: bench.debugfs(f"rm {DEFAULT_CONFIG}"),
    ),
    "a configuration with the login of every ISO": (
        "no_default_credentials",
        lambda bench: bench.write(f"{UPPER}/opt/vyatta/etc/config/config.boot", default_config(RELEASE)),
    ),
    "a password in clear": (
        "no_default_credentials",
        lambda bench: bench.replace(DEFAULT_CONFIG, 'plaintext-password ""', 'plaintext-password "secret"'),
    ),
    "a configuration with a public key": (
        "no_default_credentials",
        lambda bench: bench.replace(DEFAULT_CONFIG, 'plaintext-password ""', "public-keys me@home {\n}"),
    ),
    "an account with a password": (
        "no_default_credentials",
        lambda bench: bench.write(f"{UPPER}/etc/shadow", "root:$6$x$y:20000:0:99999:7:::\n"),
    ),
    "an account without a password": (
        "no_default_credentials",
        lambda bench: bench.write(f"{UPPER}/etc/passwd", "root::0:0:root:/root:/bin/bash\n"),
    ),
    "no configuration at all": (
        "no_default_credentials",
        lambda bench: bench.debugfs(f"rm {DEFAULT_CONFIG}", f"cd {UPPER}/usr/share/vyos", whiteout()),
    ),
    "an authorized key": (
        "no_authorized_keys",
        lambda bench: bench.write(f"{UPPER}/root/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n"),
    ),
    "a host key": (
        "no_host_keys",
        lambda bench: bench.write(f"{UPPER}/etc/ssh/ssh_host_ed25519_key", "x\n"),
    ),
    "a machine-id": ("no_machine_id", lambda bench: bench.write(f"{UPPER}/etc/machine-id", "0" * 32 + "\n")),
    "a hardware address": (
        "no_hardware_id",
        lambda bench: bench.replace(DEFAULT_CONFIG, "loopback lo {", "ethernet eth0 {\n hw-id 52:54:00:00:00:01"),
    ),
    "an interface named by udev": (
        "no_hardware_id",
        lambda bench: bench.write(f"{UPPER}/etc/udev/rules.d/70-persistent-net.rules", 'SUBSYSTEM=="net"\n'),
    ),
    "state of cloud-init": (
        "no_cloud_instance_state",
        lambda bench: bench.write(f"{UPPER}/var/lib/cloud/data/instance-id", "i-1\n"),
    ),
    "state of VyOS' cloud-init": (
        "no_cloud_instance_state",
        lambda bench: bench.write(f"{UPPER}/opt/vyatta/etc/config/cloud/instance-id", "i-1\n"),
    ),
    "the builder's name server": (
        "no_build_leftovers",
        lambda bench: bench.write(f"{UPPER}/etc/resolv.conf", "nameserver 192.0.2.1\n"),
    ),
    "a package in apt's cache": (
        "no_build_leftovers",
        lambda bench: bench.write(f"{UPPER}/var/cache/apt/archives/x.deb", "x"),
    ),
}
"""Every fault: which finding must tell it, and how it is planted."""


def loader(bench: Bench, machine: int | None) -> None:
    image = f"{bench.disk}@@{read_table(bench.disk).partitions[1].offset}"
    env = {"MTOOLS_SKIP_CHECK": "1"}
    if machine is None:
        run(["mdel", "-i", image, "::/EFI/BOOT/BOOTX64.EFI"], env=env)
        return
    own = bench.scratch / "loader"
    run(["mcopy", "-i", image, "::/EFI/BOOT/BOOTX64.EFI", own], env=env)
    content = bytearray(own.read_bytes())
    struct.pack_into("<H", content, int.from_bytes(content[0x3C:0x40], "little") + 4, machine)
    own.write_bytes(content)
    run(["mcopy", "-o", "-i", image, own, "::/EFI/BOOT/BOOTX64.EFI"], env=env)


def redated(bench: Bench) -> None:
    """Change one byte of the squashfs that nothing but its digest tells."""
    root = read_table(bench.disk).partitions[2]
    path = f"{IMAGE}/{RELEASE}.squashfs"
    block = run(["debugfs", "-R", f"bmap {path} 0", f"{bench.disk}?offset={root.offset}"]).text
    bench.patch(root.offset + int(block) * 4096 + 8, b"\x01")


def grow_link(bench: Bench) -> str:
    for target in ("multi-user.target", "sysinit.target", "local-fs.target", "basic.target", "cloud-init.target"):
        path = f"{UPPER}/etc/systemd/system/{target}.wants/{GROW_UNIT}"
        if bench.exists(path):
            return path
    raise AssertionError(GROW_UNIT)


def whiteout() -> str:
    return "mknod config.boot.default c 0 0"


def expected(built: BuiltDisk, **changes: str) -> Expected:
    promised = {
        "release": RELEASE,
        "squashfs_sha256": built.squashfs_sha256,
        "helper_sha256": built.helper_sha256,
        "console": "ttyS0",
        **changes,
    }
    return Expected(**promised)


def failed(findings: list[Finding]) -> list[str]:
    return [finding.name for finding in findings if not finding.passed]


@pytest.fixture
def bench(built: tuple[Path, BuiltDisk], tmp_path: Path) -> Bench:
    run(["cp", "--sparse=auto", built[0], tmp_path / "disk.raw"])
    return Bench(tmp_path / "disk.raw", tmp_path)


def test_a_built_disk_passes_every_question(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    findings = inspect(built[0], expected(built[1]), tmp_path)
    assert {finding.name: finding.detail for finding in findings if not finding.passed} == {}
    assert [finding.name for finding in findings] == list(QUESTIONS)
    assert list(tmp_path.iterdir()) == []


def test_looking_changes_nothing(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    disk = built[0]
    before = disk.stat()
    disk.chmod(0o400)
    try:
        inspect(disk, expected(built[1]), tmp_path)
    finally:
        disk.chmod(0o644)
    assert disk.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_by_its_own_finding(fault: str, bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    name, plant = FAULTS[fault]
    plant(bench)
    found = failed(inspect(bench.disk, expected(built[1]), bench.scratch))
    # Without a sound table nothing further can be read; every other fault is told by one finding alone.
    assert found == ([name] if name != "partition_table" else list(QUESTIONS))


def test_every_question_has_a_planted_fault() -> None:
    assert {name for name, _ in FAULTS.values()} == set(QUESTIONS)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ("squashfs_sha256", "squashfs_is_the_isos"),
        ("helper_sha256", "helper_is_the_canonical_one"),
    ],
)
def test_another_digest_than_promised_is_told(
    changed: str, name: str, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    found = inspect(built[0], expected(built[1], **{changed: "0" * 64}), tmp_path)
    assert failed(found) == [name]
    assert "0" * 64 in next(finding.detail for finding in found if finding.name == name)


def test_a_disk_of_another_release_is_told(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    found = failed(inspect(built[0], expected(built[1], release="2026.03"), tmp_path))
    assert "holds_one_image" in found
    assert "default_entry_starts_the_image" in found


def test_either_console_is_good_where_none_is_promised(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    promised = Expected(RELEASE, built[1].squashfs_sha256, built[1].helper_sha256)
    assert failed(inspect(built[0], promised, tmp_path)) == []


def test_a_file_that_is_no_disk_fails_every_question(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert failed(inspect(tmp_path / "empty", expected(built[1]), tmp_path)) == list(QUESTIONS)


def test_a_detail_holds_no_password(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    bench.replace(DEFAULT_CONFIG, 'plaintext-password ""', 'plaintext-password "hunter2"')
    bench.write(f"{UPPER}/etc/shadow", "root:$6$salt$hash:20000::::::\n")
    details = " ".join(finding.detail for finding in inspect(bench.disk, expected(built[1]), bench.scratch))
    assert "a plaintext password" in details
    assert not re.search(r"hunter2|\$6\$", details)


def test_every_question_is_a_sentence() -> None:
    assert all(question.endswith(".") and len(question) > 30 for question in QUESTIONS.values())
