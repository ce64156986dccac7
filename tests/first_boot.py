"""A look-alike's first boot as a Proxmox guest on a larger disk, and what it left: one boot for all who ask about it.

Its owner's user and network come on a cloud-init drive. What grows its disk runs once more, as every boot runs it. On
the serial console the ISO's login is tried, then the owner's, and the guest's agent is asked; then the guest is
switched off by its button, and the disk is looked at from outside.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from hyops_assets.image.boot.accelerator import probe
from hyops_assets.image.programs import run
from tests.boot_count import note_boot
from tests.boots import turn_to_boot
from tests.shared_ground import made_once
from tests.tools.console import Console, converse
from tests.tools.seeds import SEEDS
from tests.tools.shapes import PASSWORD

GROWN_BYTES = 3 << 30
"""The guest's disk, a GiB larger than the record's."""

BAD_LINE = "set system host-nam 'x'"
REFUSED = "Login incorrect"

_SECONDS = 900
_LOOK = (
    "for _ in 1 2; do echo seen: $(lsblk -bno SIZE /dev/disk/by-label/persistence) "
    "$(df -B1 --output=size,avail / | tail -n 1); done"
)
"""Twice: a message of the kernel may stand in the middle of one."""

_ADDED = {
    "vyos_config_commands": [BAD_LINE],
    "write_files": [
        {
            # So that who hears the agent of a later boot knows that this boot's growing is over.
            "path": "/etc/systemd/system/qemu-guest-agent.service.d/grown.conf",
            "content": "[Unit]\nAfter=hyops-grow-persistence.service\n",
        },
        {
            # cloud-init's last stage runs it.
            "path": "/var/lib/cloud/scripts/per-once/grow-again",
            "permissions": "0755",
            "content": "#!/bin/sh\nexec /usr/libexec/hyops/hyops-grow-persistence >/dev/console 2>&1\n",
        },
    ],
}


@dataclass(frozen=True)
class FirstBoot:
    """What the boot left.

    Attributes:
        disk: the raw disk after it; a test that changes it makes a copy before.
        console: all that the guest printed.
        agent: the version that the guest's agent said it has.
    """

    disk: Path
    console: str
    agent: str

    def seen(self) -> tuple[int, int, int]:
        """Return what the guest saw, in bytes: its partition, the file system on it, and what is free there."""
        found = re.search(r"^seen: (\d+) (\d+) (\d+)$", self.console, re.MULTILINE)
        assert found, self.console[-3000:]
        partition, size, free = map(int, found.groups())
        return partition, size, free


def first_boot_of(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstBoot:
    """Boot a copy of a raw disk, once in a test run."""
    made = made_once(tmp_path_factory, "first-boot", lambda directory: _boot(disk, directory))
    return FirstBoot(made / "disk.raw", (made / "console").read_text(), (made / "agent").read_text())


def _boot(built: Path, directory: Path) -> None:
    disk = directory / "disk.raw"
    run(["cp", "--sparse=always", "--reflink=auto", built, disk])
    run(["truncate", "-s", str(GROWN_BYTES), disk])
    user_data = SEEDS["proxmox"]["user-data"] + yaml.safe_dump(_ADDED)
    seed = _seed_iso({**SEEDS["proxmox"], "user-data": user_data}, directory)

    def dialogue(console: Console) -> None:
        _dialogue(console)
        (directory / "agent").write_text(console.ask_agent("guest-info")["version"])

    note_boot("first boot on a larger disk, with Proxmox' cloud-init drive")
    with turn_to_boot():
        printed = converse(disk, dialogue, accelerator=probe(), scratch=directory, timeout=_SECONDS, seed=seed)
    (directory / "console").write_text(printed)


def _dialogue(console: Console) -> None:
    console.wait_for("Nothing to do!")
    # The prompt stands somewhere above it.
    console.type("")
    console.wait_for(r"login: $")
    assert _log_in(console, "vyos", "vyos") == REFUSED, console.text[-3000:]
    console.wait_for(r"login: $")
    # The same door opens for whom the owner named, so that the refusal means something.
    assert _log_in(console, "netadmin", PASSWORD) != REFUSED, console.text[-3000:]
    console.type(_LOOK)
    console.wait_for(r"seen: \d+ \d+ \d+(?s:.*)\$ $")


def _log_in(console: Console, user: str, password: str) -> str:
    """Log in on the serial console; return what it says: that it was refused, or a shell's prompt."""
    console.type(user)
    console.wait_for("[Pp]assword: ")
    console.type(password)
    return console.wait_for(rf"{REFUSED}|\$ $")[0]


def _seed_iso(files: dict[str, str], directory: Path) -> Path:
    """Write a NoCloud disk as Proxmox VE attaches one."""
    content = directory / "seed"
    content.mkdir()
    for name, text in files.items():
        (content / name).write_text(text)
    iso = directory / "seed.iso"
    run(["xorriso", "-no_rc", "-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r", "-o", iso, content])
    return iso
