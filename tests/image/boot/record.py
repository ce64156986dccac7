"""Record the consoles of real boots, one per damage: `python -m tests.image.boot.record [NAME ...]`.

For a new damage, and where the look-alike, GRUB or the proof changed so much that the old consoles say something else.
Each boot takes a minute or two; `consoles/` keeps its text: what firmware and loader said, and the end.
"""

import os
import selectors
import sys
import tempfile
from pathlib import Path

from hyops_assets.contract.version import iso_file_name
from hyops_assets.image.boot import gate
from hyops_assets.image.boot.accelerator import probe
from hyops_assets.image.boot.nocloud import Challenge, write_seed
from hyops_assets.image.boot.turns import host_directory, turn
from hyops_assets.image.boot.verdict import Firmware, verdict
from hyops_assets.image.build import build_disk
from hyops_assets.image.console import plain
from hyops_assets.image.shipped import canonical_helper
from hyops_assets.settings.build import BuildSettings
from hyops_lab.grub_modules import lab_cache
from hyops_lab.lookalike import make_lookalike
from tests.conftest import LOOKALIKE_DISK_BYTES, LOOKALIKE_RELEASE
from tests.image.boot.damage import DAMAGES, SpoiledDisk

CONSOLES = Path(__file__).parent / "consoles"
NONCE = "recorded"
"""What every recorded guest was asked to prove."""

_FIRST_LINES, _LAST_LINES = 16, 40
_SILENCE_SECONDS = 300.0
_AFTERWARDS_SECONDS = 5.0


def console_of(qcow2: Path, firmware: Firmware, scratch: Path) -> str:
    """Return what a disk's console shows up to its proof or its failure, and the seconds after."""
    challenge = Challenge(NONCE)
    argv = gate._qemu_arguments(qcow2, write_seed(scratch / "seed.iso", challenge), firmware, probe(), scratch)
    printed, patience = b"", _SILENCE_SECONDS
    with turn(host_directory(), at_once=1), gate._powered_on(argv, scratch) as process:
        assert process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(patience) and (chunk := os.read(process.stdout.fileno(), 4096)):
                printed += chunk
                if verdict(plain(printed), challenge, release=LOOKALIKE_RELEASE, firmware=firmware):
                    patience = _AFTERWARDS_SECONDS
    return plain(printed)


def trimmed(console: str) -> str:
    """Return a console without its middle, in which the kernel describes the machine."""
    lines = console.splitlines(keepends=True)
    if len(lines) <= _FIRST_LINES + _LAST_LINES:
        return console
    left_out = len(lines) - _FIRST_LINES - _LAST_LINES
    return "".join([*lines[:_FIRST_LINES], f"[... {left_out} lines ...]\n", *lines[-_LAST_LINES:]])


def main(names: list[str]) -> None:
    """Make a look-alike's disk, and record the named damages, or all."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="consoles.") as room:
        scratch, cache = Path(room), lab_cache()
        disk = scratch / "disk.raw"
        build_disk(
            make_lookalike(scratch / iso_file_name(LOOKALIKE_RELEASE), LOOKALIKE_RELEASE, cache=cache),
            release=LOOKALIKE_RELEASE,
            settings=BuildSettings(disk_bytes=LOOKALIKE_DISK_BYTES),
            helper=canonical_helper(),
            lock=None,
            cache=cache / "packages",
            destination=disk,
            scratch=scratch,
        )
        for name in names or DAMAGES:
            own = scratch / name
            own.mkdir()
            spoiled = SpoiledDisk(disk, own)
            DAMAGES[name].harm(spoiled)
            console = console_of(spoiled.as_qcow2(), DAMAGES[name].firmware, own)
            (CONSOLES / f"{name}.txt").write_text(trimmed(console))
            spoiled.raw.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
