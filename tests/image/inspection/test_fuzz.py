"""The long form of test_hostile.py: 30,000 inputs to what parses, 2,000 through the programs; typed errors only."""

import lzma
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.disk.ext4 import Slot, check_ext4
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.inspection.arrival import opened_disk
from hyops_assets.image.inspection.cloud_config import parse_cloud_config
from hyops_assets.image.inspection.files import Ext4Files, parse_details, parse_listing
from hyops_assets.image.inspection.superblock import read_superblock
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs
from hyops_assets.image.squashfs import parse_listing as parse_members
from hyops_assets.image.variants.qcow2_header import require_plain_qcow2
from tests.image.inspection.test_hostile import changed, small_disk

MEMBERS = b"drwxr-xr-x 0/0 27 2026-03-03 00:27 P\nlrwxrwxrwx 0/0 4 2026-03-03 00:27 P/a -> /tmp\n"
LISTING = b"debugfs: ls -p <2>\n/12/100644/0/0/name/27/\n/13/040755/0/0/etc//\n"
DETAILS = b'debugfs: stat <12>\nFast link dest: "x"\n  trusted.overlay.opaque (1) = "y"\n'
CLOUD = b"a: {b: [c, d]}\ndatasource_list: [NoCloud, None]\n"


def spoiled(content: bytes, dice: random.Random) -> bytes:
    reach = dice.choice([1 << 9, 1 << 12, len(content)])
    return changed(
        content, [(dice.randrange(reach), dice.randbytes(dice.randint(1, 8))) for _ in range(dice.randint(1, 6))]
    )


def lines(content: bytes) -> list[str]:
    return content.decode(errors="surrogateescape").split("\n")


TEXTS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "members": (MEMBERS, lambda content: parse_members(content.split(b"\n"), "P")),
    "listing": (LISTING, lambda content: list(parse_listing(lines(content)))),
    "details": (DETAILS, lambda content: parse_details(lines(content))),
    "cloud": (CLOUD, lambda content: parse_cloud_config("x.cfg", content)),
}
FILES: dict[str, Callable[[Path], object]] = {
    "table": read_table,
    "header": require_plain_qcow2,
    "superblock": lambda file: read_superblock(Slot(file, 0, 1 << 20)),
}


@pytest.mark.long
def test_thirty_thousand_inputs_are_parsed_or_refused(tmp_path: Path) -> None:
    dice = random.Random(12)
    contents = {
        "table": small_disk(tmp_path / "table"),
        "header": b"QFI\xfb\0\0\0\3" + bytes(200),
        "superblock": bytes(1080) + b"\x53\xef" + bytes(966),
    }
    for _ in range(30_000 // (len(TEXTS) + len(FILES)) + 1):
        for content, parse in TEXTS.values():
            with suppress(HyopsError):
                parse(spoiled(content, dice))
        for kind, read in FILES.items():
            (tmp_path / kind).write_bytes(spoiled(contents[kind], dice))
            with suppress(HyopsError):
                read(tmp_path / kind)


def read_squashfs(path: Path) -> None:
    image = Squashfs(path)
    for name, member in image.members().items():
        if member.kind == "file":
            image.read(name)


def read_ext4(path: Path) -> None:
    slot = Slot(path, 0, path.stat().st_size)
    files = Ext4Files(slot)
    for name, entry in files.tree.items():
        if entry.kind == "symlink":
            files.target(name)
    check_ext4(slot)


def decode(path: Path) -> None:
    with opened_disk(path, path.parent):
        pass


@pytest.mark.long
@pytest.mark.parametrize("kind", ["squashfs", "ext4", "qcow2", "raw.xz"])
def test_five_hundred_files_are_read_by_the_programs_or_refused(kind: str, tmp_path: Path) -> None:
    root, good, bad = tmp_path / "root", tmp_path / "good", tmp_path / "bad"
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_bytes(os.urandom(3000))
    (root / "link").symlink_to("etc/" + "t" * 80)
    if kind == "squashfs":
        run(["mksquashfs", root, good, "-noappend", "-quiet", "-no-progress", "-noI", "-noD", "-noF"])
    elif kind == "ext4":
        run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", root, good, "1024k"])
    elif kind == "qcow2":
        run(["qemu-img", "create", "-q", "-f", "qcow2", good, "16M"])
    else:
        good.write_bytes(lzma.compress(bytes(range(256)) * 64, check=lzma.CHECK_CRC32))
    read = {"squashfs": read_squashfs, "ext4": read_ext4}.get(kind, decode)
    dice = random.Random(kind)
    for _ in range(500):
        bad.write_bytes(spoiled(good.read_bytes(), dice))
        with suppress(HyopsError):
            read(bad)
