"""Every fault that is planted on a disk, by a name for people: which question must tell it, and how it is planted."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

from hyops_assets.image.disk.grub import CONFIG_DIRECTORY
from hyops_assets.image.overlay.overlay import CONFIGURATION, GROW_PROGRAM, GROW_UNIT, HELPER
from hyops_assets.image.programs import run
from hyops_lab.grub_modules import grub_modules, lab_cache
from hyops_lab.miniature import saved_config
from tests.image.conftest import RELEASE
from tests.image.inspection.bench import IMAGE, LOADER, SECTOR, UPPER, Bench, first_block

WANTS = f"{UPPER}/etc/systemd/system/cloud-init.target.wants"
MOUNTED = f"{UPPER}/config"
"""What VyOS' live-boot mounts over the configuration's directory from the first boot on."""
SAVED_CONFIG = f"{UPPER}/opt/vyatta/etc/config/config.boot"
DEFAULT_CONFIG = f"{UPPER}/usr/share/vyos/config.boot.default"
CLOUD_CONFIG = f"{UPPER}/etc/cloud/cloud.cfg.d/98-planted.cfg"
MENU = f"{CONFIG_DIRECTORY}/20-vyos-defaults-autoload.cfg"
ENTRY = f"{CONFIG_DIRECTORY}/vyos-versions/{RELEASE}.cfg"
PASSWORD_LINE = 'plaintext-password ""'

Plant = Callable[[Bench], None]


def loader_for(machine: int) -> Plant:
    def plant(bench: Bench) -> None:
        content = bytearray(bench.loader())
        struct.pack_into("<H", content, int.from_bytes(content[0x3C:0x40], "little") + 4, machine)
        bench.write_esp(LOADER, bytes(content))

    return plant


def a_shim_alone(bench: Bench) -> None:
    bench.write_esp(LOADER, bench.loader() + b"sbat,1\nshim,3,UEFI shim\n")


def a_shim_whose_grub_has_no_menu(bench: Bench) -> None:
    a_shim_alone(bench)
    bench.write_esp("EFI/BOOT/grubx64.efi", grub_of_a_vendor(bench.scratch))


def grub_of_a_vendor(scratch: Path) -> bytes:
    """A GRUB like a signed one: it looks for its menu in a directory of the EFI partition."""
    made = scratch / "vendor.efi"
    modules = grub_modules(lab_cache()) / "x86_64-efi"
    run(["grub-mkimage", "-O", "x86_64-efi", "-d", modules, "-p", "/EFI/debian", "-o", made, "normal", "fat"])
    return made.read_bytes()


def redated(bench: Bench) -> None:
    """Change one byte of the squashfs that nothing but its digest tells."""
    bench.patch(first_block(bench, f"{IMAGE}/{RELEASE}.squashfs") + 8, b"\x01")


def full(bench: Bench) -> None:
    free = int(run(["debugfs", "-R", "show_super_stats -h", bench.root]).text.split("Free blocks:")[1].split()[0])
    bench.write("/full", b"x")
    bench.debugfs(f"fallocate /full 1 {free - 8000}")


def one_login(lines: str) -> Plant:
    return lambda bench: bench.replace(DEFAULT_CONFIG, PASSWORD_LINE, lines)


def one_user(lines: str) -> str:
    """A configuration whose user has these lines."""
    return f"system {{\nlogin {{\nuser ops {{\nauthentication {{\n{lines}\n}}\n}}\n}}\n}}\n"


def cloud(text: str) -> Plant:
    return lambda bench: bench.write(CLOUD_CONFIG, text)


def without(path: str) -> Plant:
    return lambda bench: bench.debugfs(f"rm {path}")


def without_growing(bench: Bench) -> None:
    for target in ("multi-user.target", "sysinit.target", "local-fs.target", "basic.target", "cloud-init.target"):
        path = f"{UPPER}/etc/systemd/system/{target}.wants/{GROW_UNIT}"
        if bench.exists(path):
            bench.debugfs(f"rm {path}")
            return
    raise AssertionError(GROW_UNIT)


def without_configuration(bench: Bench) -> None:
    bench.device(DEFAULT_CONFIG)


FAULTS: dict[str, tuple[str, Plant]] = {
    # the partition table
    "a damaged header of the backup table": (
        "partition_table",
        lambda bench: bench.patch(bench.disk.stat().st_size - SECTOR + 40, b"\xff"),
    ),
    "a damaged entry of the table": ("partition_table", lambda bench: bench.patch(2 * SECTOR + 3, b"\xff")),
    "no table at all": ("partition_table", lambda bench: bench.patch(SECTOR, bytes(SECTOR))),
    "a fourth partition": ("partition_table", lambda bench: bench.sgdisk("--new=4:2040:2047")),
    "an EFI partition of another type": ("partition_table", lambda bench: bench.sgdisk("--typecode=2:8300")),
    "an EFI partition that is too small": (
        "partition_table",
        lambda bench: bench.sgdisk("--delete=2", "--new=2:4096:+128M", "--typecode=2:ef00"),
    ),
    "an MBR that protects nothing": ("partition_table", lambda bench: bench.patch(450, b"\x83")),
    "another label of the EFI partition": (
        "partitions_have_their_labels",
        lambda bench: bench.patch(4096 * SECTOR + 0x47, b"SYSTEM     "),
    ),
    "another label of the file system": (
        "partitions_have_their_labels",
        lambda bench: bench.debugfs("set_super_value volume_name PERSISTENCE"),
    ),
    # boot code
    "other boot code": ("starts_under_bios", lambda bench: bench.patch(0x180, b"LILO")),
    "boot code that looks for the core elsewhere": (
        "starts_under_bios",
        lambda bench: bench.patch(0x5C, struct.pack("<Q", 34)),
    ),
    "a core image that is cut off": (
        "starts_under_bios",
        lambda bench: bench.patch(2048 * SECTOR + 508, struct.pack("<H", 1500)),
    ),
    "a core image whose rest lies elsewhere": (
        "starts_under_bios",
        lambda bench: bench.patch(2048 * SECTOR + 500, struct.pack("<Q", 4096)),
    ),
    "an EFI loader for another machine": ("starts_under_uefi", loader_for(0xAA64)),
    "an EFI loader that is no program": (
        "starts_under_uefi",
        lambda bench: bench.write_esp(LOADER, b"#!/bin/sh\n"),
    ),
    "no EFI loader": ("starts_under_uefi", lambda bench: (bench.mtools("mdel", f"::/{LOADER}"), None)[1]),
    "a shim without GRUB": ("secure_boot_is_complete", a_shim_alone),
    "a shim whose GRUB finds no menu": ("secure_boot_is_complete", a_shim_whose_grub_has_no_menu),
    # the file system
    "a link count that e2fsck would repair": (
        "file_system_is_sound",
        lambda bench: bench.debugfs("sif /persistence.conf links_count 7"),
    ),
    "a file that fills the disk": ("has_free_space", full),
    # the image
    "a second image": ("holds_one_image", lambda bench: bench.debugfs("mkdir /boot/1.4.0")),
    "a second menu entry": (
        "holds_one_image",
        lambda bench: bench.write(f"{CONFIG_DIRECTORY}/vyos-versions/1.4.0.cfg", "\n"),
    ),
    "a squashfs with another date in its header": ("squashfs_is_the_isos", redated),
    "a changed kernel": ("kernel_is_the_isos", lambda bench: bench.write(f"{IMAGE}/vmlinuz", b"another kernel")),
    "a kernel with one other byte": (
        "kernel_is_the_isos",
        lambda bench: bench.patch(first_block(bench, f"{IMAGE}/vmlinuz") + 77, b"planted"),
    ),
    "an empty initrd": ("kernel_is_the_isos", lambda bench: bench.write(f"{IMAGE}/initrd.img", b"")),
    "another configuration of the kernel": (
        "kernel_is_the_isos",
        lambda bench: bench.write(f"{IMAGE}/config-6.6.117-vyos", "CONFIG_OVERLAY_FS=n\n"),
    ),
    # the menu
    "a default that no entry has": (
        "default_entry_starts_the_image",
        lambda bench: bench.replace(MENU, "uuid5-", "uuid4-"),
    ),
    "an entry with another overlay": (
        "default_entry_starts_the_image",
        lambda bench: bench.replace(ENTRY, f"vyos-union={IMAGE}", "vyos-union=/boot/1.4.0"),
    ),
    "an entry with another kernel": (
        "default_entry_starts_the_image",
        lambda bench: bench.replace(ENTRY, f"{IMAGE}/vmlinuz", f"{IMAGE}/vmlinux"),
    ),
    "another console": (
        "console_is_set",
        lambda bench: bench.replace(MENU, 'console_type="ttyS"', 'console_type="tty"'),
    ),
    "a console at another speed": (
        "console_is_set",
        lambda bench: bench.replace(MENU, 'console_speed="115200"', 'console_speed="9600"'),
    ),
    # the overlay
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
        without(f"{UPPER}/opt/vyatta/etc/config/.vyatta_config"),
    ),
    "a directory that leads to another one": (
        "overlay_is_laid_out",
        lambda bench: bench.mark(f"{UPPER}/usr/share/doc", "trusted.overlay.redirect", "/etc"),
    ),
    "a file that shows another one's bytes": (
        "overlay_is_laid_out",
        lambda bench: bench.debugfs(f"ea_set {DEFAULT_CONFIG} trusted.overlay.metacopy x"),
    ),
    "a real /lib": ("merged_directories_stay_links", lambda bench: bench.debugfs(f"mkdir {UPPER}/lib")),
    "a real /sbin": ("merged_directories_stay_links", lambda bench: bench.debugfs(f"mkdir {UPPER}/sbin")),
    # the guest
    "no configuration at all": ("configuration_parses", without_configuration),
    "a configuration with a brace too many": (
        "configuration_parses",
        lambda bench: bench.append(DEFAULT_CONFIG, "}\n"),
    ),
    "a configuration that is cut off": (
        "configuration_parses",
        lambda bench: bench.write(SAVED_CONFIG, 'system {\n    host-name "vy'),
    ),
    "another list of datasources": (
        "datasources_are_the_expected",
        lambda bench: bench.replace(UPPER + CONFIGURATION, "NoCloud, ConfigDrive, ", "NoCloud, "),
    ),
    "a later file that changes the datasources": (
        "datasources_are_the_expected",
        lambda bench: bench.write(f"{UPPER}/etc/cloud/cloud.cfg.d/99-zz.cfg", "datasource_list: [ None ]\n"),
    ),
    "a list of datasources over several lines": (
        "datasources_are_the_expected",
        lambda bench: bench.replace(
            UPPER + CONFIGURATION,
            "datasource_list: [ NoCloud, ConfigDrive, Hetzner, None ]",
            "datasource_list:\n- NoCloud\n- ConfigDrive\n- Hetzner\n- None",
        ),
    ),
    "a stage of cloud-init that nothing starts": ("cloud_init_is_enabled", without(f"{WANTS}/cloud-final.service")),
    "a masked stage of cloud-init": (
        "cloud_init_is_enabled",
        lambda bench: bench.debugfs(f"symlink {UPPER}/etc/systemd/system/cloud-config.service /dev/null"),
    ),
    "cloud-init switched off": (
        "cloud_init_is_enabled",
        lambda bench: bench.write(f"{UPPER}/etc/cloud/cloud-init.disabled", ""),
    ),
    "cloud-init switched off by its policy": (
        "cloud_init_is_enabled",
        lambda bench: bench.write(f"{UPPER}/etc/cloud/ds-identify.cfg", "policy: disabled\n"),
    ),
    "cloud-init switched off by the menu": (
        "cloud_init_is_enabled",
        lambda bench: bench.replace(ENTRY, "boot=live", "boot=live cloud-init=disabled"),
    ),
    "a DHCP client that was removed": (
        "finds_a_dhcp_client",
        lambda bench: bench.device(f"{UPPER}/usr/sbin/dhclient"),
    ),
    "a DHCP client that an opaque directory hides": (
        "finds_a_dhcp_client",
        lambda bench: bench.mark(f"{UPPER}/usr/sbin", "trusted.overlay.opaque", "y"),
    ),
    "a DHCP client that an opaque directory of a user hides": (
        "finds_a_dhcp_client",
        lambda bench: bench.mark(f"{UPPER}/usr/sbin", "user.overlay.opaque", "y"),
    ),
    "a device in the place of the DHCP client": (
        "finds_a_dhcp_client",
        lambda bench: bench.device(f"{UPPER}/usr/sbin/dhclient", 1, 3),
    ),
    "another helper": ("helper_is_the_canonical_one", lambda bench: bench.write(UPPER + HELPER, "# patched\n")),
    "a schema that is nowhere": (
        "commands_can_be_checked",
        lambda bench: bench.device(f"{UPPER}/opt/vyatta/share/vyatta-cfg/templates"),
    ),
    "no guest agent": ("guest_agent_is_enabled", without(f"{UPPER}/usr/sbin/qemu-ga")),
    "a guest agent that nothing starts": (
        "guest_agent_is_enabled",
        without(f"{UPPER}/usr/lib/udev/rules.d/60-qemu-guest-agent.rules"),
    ),
    "no growing": ("grows_to_its_disk", without_growing),
    "a program for growing that cannot run": (
        "grows_to_its_disk",
        lambda bench: bench.debugfs(f"sif {UPPER}{GROW_PROGRAM} mode 0100644"),
    ),
    # who is let in
    "the login of every ISO, because the overlay does not hide it": (
        "no_default_credentials",
        without(DEFAULT_CONFIG),
    ),
    "a configuration with the login of every ISO": (
        "no_default_credentials",
        lambda bench: bench.write(SAVED_CONFIG, saved_config(RELEASE)),
    ),
    "after a first boot, a configuration with the login of every ISO": (
        "no_default_credentials",
        lambda bench: bench.write(f"{MOUNTED}/config.boot", saved_config(RELEASE)),
    ),
    "a backup of a configuration with the login of every ISO": (
        "no_default_credentials",
        lambda bench: bench.write(f"{MOUNTED}/config.boot.20260303-002700.pre-migration", saved_config(RELEASE)),
    ),
    "an archived configuration with the login of every ISO": (
        "no_default_credentials",
        lambda bench: bench.write(
            f"{MOUNTED}/archive/config.boot.1.gz", gzip.compress(saved_config(RELEASE).encode())
        ),
    ),
    "an account with a password": (
        "no_default_credentials",
        lambda bench: bench.write(f"{UPPER}/etc/shadow", "root:$6$x$y:20000:0:99999:7:::\n"),
    ),
    "an account without a password": (
        "no_default_credentials",
        lambda bench: bench.write(f"{UPPER}/etc/passwd", "root::0:0:root:/root:/bin/bash\n"),
    ),
    "a password that cloud-init sets": (
        "no_default_credentials",
        cloud("users:\n- name: vyos\n  hashed_passwd: $6$x$y\n"),
    ),
    "a password in clear": ("no_plaintext_password", one_login('plaintext-password "secret"')),
    "after a first boot, a password in clear": (
        "no_plaintext_password",
        lambda bench: bench.write(f"{MOUNTED}/config.boot", one_user('plaintext-password "secret"')),
    ),
    "a password in clear, all on one line": (
        "no_plaintext_password",
        one_login('} authentication { plaintext-password secret } authentication {\nplaintext-password ""'),
    ),
    "a password in clear that cloud-init sets": (
        "no_plaintext_password",
        cloud("system_info: {default_user: {plain_text_passwd: secret}}\n"),
    ),
    "a list of passwords for cloud-init": (
        "no_plaintext_password",
        cloud("chpasswd: {expire: false, list: 'vyos:vyos'}\n"),
    ),
    "an authorized key": (
        "no_authorized_keys",
        lambda bench: bench.write(f"{UPPER}/root/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n"),
    ),
    "a configuration with a public key": (
        "no_authorized_keys",
        one_login('public-keys me@home {\nkey "AAAA"\n}'),
    ),
    "after a first boot, a configuration with a public key": (
        "no_authorized_keys",
        lambda bench: bench.write(f"{MOUNTED}/config.boot", one_user('public-keys me@home {\nkey "AAAA"\n}')),
    ),
    "a key that cloud-init adds": ("no_authorized_keys", cloud("ssh_authorized_keys: [ssh-ed25519 AAAA me]\n")),
    "a host key": ("no_host_keys", lambda bench: bench.write(f"{UPPER}/etc/ssh/ssh_host_ed25519_key", "x\n")),
    # whose machine it was
    "a machine-id": ("no_machine_id", lambda bench: bench.write(f"{UPPER}/etc/machine-id", "0" * 32 + "\n")),
    "a machine-id of D-Bus": (
        "no_machine_id",
        lambda bench: bench.write(f"{UPPER}/var/lib/dbus/machine-id", "0" * 32 + "\n"),
    ),
    "a hardware address": (
        "no_hardware_id",
        lambda bench: bench.replace(DEFAULT_CONFIG, "loopback lo {", "ethernet eth0 {\n hw-id 52:54:00:00:00:01"),
    ),
    "after a first boot, a hardware address": (
        "no_hardware_id",
        lambda bench: bench.write(
            f"{MOUNTED}/config.boot", "interfaces {\nethernet eth0 {\nhw-id 52:54:00:00:00:01\n}\n}\n"
        ),
    ),
    "a DUID": (
        "no_machine_id",
        lambda bench: bench.write(f"{UPPER}/var/lib/dhcpv6/dhcp6c_duid", b"\x12\x00\x00\x04" + bytes(16)),
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
    "after a first boot, state of VyOS' cloud-init": (
        "no_cloud_instance_state",
        lambda bench: bench.write(f"{MOUNTED}/cloud/instance-id", "i-1\n"),
    ),
    "a ledger of what metadata wrote": (
        "no_cloud_instance_state",
        lambda bench: bench.write(f"{MOUNTED}/.cloud-init-ledger.json", "{}\n"),
    ),
    "a key of a router": (
        "no_files_of_one_router",
        lambda bench: bench.write(f"{UPPER}/opt/vyatta/etc/config/auth/wireguard/default/private.key", "x\n"),
    ),
    "after a first boot, a key of a router": (
        "no_files_of_one_router",
        lambda bench: bench.write(f"{MOUNTED}/auth/letsencrypt/live/key.pem", "x\n"),
    ),
    "a script that runs at each boot": (
        "no_files_of_one_router",
        lambda bench: bench.write(f"{MOUNTED}/scripts/vyos-postconfig-bootup.script", "#!/bin/sh\n"),
    ),
    "an encrypted configuration": ("no_files_of_one_router", lambda bench: bench.write(f"/luks/{RELEASE}", "x\n")),
    "state of a cloud-init that keeps it elsewhere": (
        "no_cloud_instance_state",
        lambda bench: (
            bench.write(CLOUD_CONFIG, "system_info: {paths: {cloud_dir: /srv/elsewhere}}\n"),
            bench.write(f"{UPPER}/srv/elsewhere/instance-id", "i-1\n"),
        )[1],
    ),
    "a log of cloud-init": (
        "no_cloud_instance_state",
        lambda bench: bench.write(f"{UPPER}/var/log/cloud-init.log", "ran\n"),
    ),
    "the builder's name server": (
        "no_build_leftovers",
        lambda bench: bench.write(f"{UPPER}/etc/resolv.conf", "nameserver 192.0.2.1\n"),
    ),
    "a package in apt's cache": (
        "no_build_leftovers",
        lambda bench: bench.write(f"{UPPER}/var/cache/apt/archives/x.deb", "x"),
    ),
    "a list of packages": (
        "no_build_leftovers",
        lambda bench: bench.write(f"{UPPER}/var/lib/apt/lists/lock", ""),
    ),
    "a source of packages": (
        "no_build_leftovers",
        lambda bench: bench.write(f"{UPPER}/etc/apt/sources.list", "deb http://192.0.2.1/ bookworm main\n"),
    ),
}

UNREADABLE = {
    "a damaged header of the backup table",
    "a damaged entry of the table",
    "no table at all",
    "a fourth partition",
}
"""Without a sound table nothing further can be read; every other fault is reported by one finding alone."""
