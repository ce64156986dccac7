"""What a guest's serial console says about its boot: proven, failed, or nothing yet. A pure function of the text.

What belongs here: reading. Running the guest is `gate.py`; what the guest is asked to prove is `nocloud.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hyops_assets.image.boot.nocloud import Challenge

Firmware = Literal["bios", "uefi"]
FIRMWARES: tuple[Firmware, ...] = ("bios", "uefi")

_FAILURES = re.compile(
    r"(?P<initrd>\(initramfs\) )"
    # GRUB's shell; its prompt itself is drawn with cursor movements.
    r"|(?P<grub>grub rescue> |Minimal BASH-like line editing is supported)"
    r"|Kernel panic - not syncing.*\n"
    r"|You are in (?:emergency|rescue) mode"
    r"|Give root password for maintenance"
    r"|No bootable device"
    r"|No bootable option or device was found"
    r"|(?m:^Shell> )"
    r"|Boot failed: .*\n"
)
"""What a console shows when a guest will never get further: no reason to wait for the timeout."""


@dataclass(frozen=True)
class Proven:
    """The guest proved that it runs as it must: its facts."""

    facts: dict[str, str]


@dataclass(frozen=True)
class Failed:
    """The guest will not get there, or is not what it must be: why, in one line."""

    why: str


def verdict(console: str, challenge: Challenge, *, release: str, firmware: Firmware) -> Proven | Failed | None:
    """Return what a console says: a valid proof, else a known failure, else None: the guest is still on its way.

    Args:
        console: what was printed, as plain text. Its end is enough, as long as a proof or a failure fits into it.
        challenge: what this guest was asked to prove: a proof of another challenge counts for nothing.
        release: the release whose `/boot/<release>` must be the running root.
        firmware: that must have started the guest.
    """
    facts = challenge.verified_facts(console)
    if facts is not None:
        wrong = wrong_facts(facts, release=release, firmware=firmware)
        return Failed("; ".join(wrong)) if wrong else Proven(facts)
    failure = _FAILURES.search(console)
    if failure is None:
        return None
    before, shown = console[: failure.start()], f"the console shows {failure[0].strip()!r}"
    # What each of them says before it gives up and offers a shell: the initrd in its last line, GRUB as an error.
    if failure["initrd"]:
        return Failed(f"{shown} after {before.rstrip().rpartition(chr(10))[2]!r}")
    error = re.search(r"error: .*", before) if failure["grub"] else None
    return Failed(f"{shown} after {error[0].strip()!r}" if error else shown)


def wrong_facts(facts: Mapping[str, str], *, release: str, firmware: Firmware) -> list[str]:
    """Return everything in a guest's proven facts that differs from what must hold; empty is a pass."""
    expected = {
        "stage": "final",
        "root": "overlay",
        "union": f"/boot/{release}",
        "upper": f"/boot/{release}/rw",
        "release": release,
        "firmware": firmware,
        "commands": "applied",
        "default": release,
    }
    return [
        f"{name}: expected {value}, found {facts.get(name, 'nothing')}"
        for name, value in expected.items()
        if facts.get(name) != value
    ]
