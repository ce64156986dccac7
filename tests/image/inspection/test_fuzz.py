"""The long form of test_hostile.py: 30,000 inputs to what parses, 3,000 through the programs; typed errors only.

None of them takes two seconds of processor time, its programs' included, or 256 MiB: a busy machine changes neither.
"""

import lzma
import os
import random
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import silent
from hyops_assets.image.disk.ext4 import Slot, check_ext4
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.inspection.arrival import opened_disk
from hyops_assets.image.inspection.cloud_config import parse_cloud_config
from hyops_assets.image.inspection.files import Ext4Files, parse_details, parse_listing
from hyops_assets.image.inspection.superblock import read_superblock
from hyops_assets.image.intake.volume import taken_apart
from hyops_assets.image.overlay.claims import Claims
from hyops_assets.image.overlay.debs import Staging, unpack
from hyops_assets.image.overlay.dpkg_status import register
from hyops_assets.image.overlay.layers import Layers
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs
from hyops_assets.image.squashfs import parse_listing as parse_members
from hyops_assets.image.variants.qcow2_header import require_plain_qcow2
from hyops_lab.debs import Deb, write_deb
from tests.image.inspection.test_hostile import changed, small_disk
from tests.image.overlay.test_debs import CONTENTS

MEMBERS = b"drwxr-xr-x 0/0 27 2026-03-03 00:27 P\nlrwxrwxrwx 0/0 4 2026-03-03 00:27 P/a -> /tmp\n"
LISTING = b"debugfs: ls -p <2>\n/12/100644/0/0/name/27/\n/13/040755/0/0/etc//\n"
DETAILS = b'debugfs: stat <12>\nFast link dest: "x"\n  trusted.overlay.opaque (1) = "y"\n'
CLOUD = b"a: {b: [c, d]}\ndatasource_list: [NoCloud, None]\n"


MOST_SECONDS = 2.0
MOST_BYTES = 256 << 20


@pytest.fixture
def little_memory() -> Iterator[None]:
    """What is asked for beyond 256 MiB fails in this process with MemoryError, which is no typed error.

    The programs have a limit of their own (`image/bounded.py`).
    """
    former, most = resource.getrlimit(resource.RLIMIT_DATA)
    held = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert held is not None
    resource.setrlimit(resource.RLIMIT_DATA, ((int(held[1]) << 10) + MOST_BYTES, most))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, (former, most))


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def read_or_refused(read: Callable[[], object], what: str) -> None:
    """Read one input: it gives something or a typed error, soon."""
    began = processor_seconds()
    with suppress(HyopsError):
        read()
    took = processor_seconds() - began
    assert took < MOST_SECONDS, f"{what}: {took:.1f} s of processor time"


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
@pytest.mark.usefixtures("little_memory")
def test_thirty_thousand_inputs_are_parsed_or_refused(tmp_path: Path) -> None:
    dice = random.Random(12)
    contents = {
        "table": small_disk(tmp_path / "table"),
        "header": b"QFI\xfb\0\0\0\3" + bytes(200),
        "superblock": bytes(1080) + b"\x53\xef" + bytes(966),
    }
    for number in range(30_000 // (len(TEXTS) + len(FILES)) + 1):
        for kind, (content, parse) in TEXTS.items():
            text = spoiled(content, dice)
            read_or_refused(partial(parse, text), f"{kind} {number}")
        for kind, read in FILES.items():
            (tmp_path / kind).write_bytes(spoiled(contents[kind], dice))
            read_or_refused(partial(read, tmp_path / kind), f"{kind} {number}")


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


def take_apart(path: Path) -> None:
    with taken_apart(path, path.with_name("apart"), silent):
        pass


def unpack_deb(path: Path, squashfs: Squashfs) -> None:
    layers, staging = Layers(squashfs), Staging(path.with_name("staging"))
    unpacked = unpack("app", path, layers, Claims(squashfs, layers), staging)
    register([unpacked], squashfs, layers, staging)


def seed_of(kind: str, root: Path, good: Path) -> None:
    """Write a small file that is whole: what is spoiled begins as something that is read to its end."""
    if kind == "squashfs":
        run(["mksquashfs", root, good, "-noappend", "-quiet", "-no-progress", "-noI", "-noD", "-noF"])
    elif kind == "ext4":
        run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", root, good, "1024k"])
    elif kind == "qcow2":
        run(["qemu-img", "create", "-q", "-f", "qcow2", good, "16M"])
    elif kind == "raw.xz":
        good.write_bytes(lzma.compress(bytes(range(256)) * 64, check=lzma.CHECK_CRC32))
    elif kind == "iso":
        words = ["-no_rc", "-as", "mkisofs", "-quiet", "-R", "-J", "-no-pad", "-o", good, root]
        run(["xorriso", *words])
    else:
        write_deb(Deb("app", "1", entries=CONTENTS, conffiles=("/etc/app.conf",)), good)


KINDS = ("squashfs", "ext4", "qcow2", "raw.xz", "iso", "deb")


def reader_of(kind: str, room: Path) -> Callable[[Path], object]:
    if kind != "deb":
        return {"squashfs": read_squashfs, "ext4": read_ext4, "iso": take_apart}.get(kind, decode)
    (room / "guest/var/lib/dpkg/info").mkdir(parents=True)
    (room / "guest/var/lib/dpkg/status").write_text("")
    run(["mksquashfs", room / "guest", room / "guest.squashfs", "-noappend", "-quiet", "-no-progress"])
    guest = Squashfs(room / "guest.squashfs")
    return lambda path: unpack_deb(path, guest)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spoiled_is_read_to_its_end_before(kind: str, tmp_path: Path) -> None:
    """Else the long form would try how one error is raised, five hundred times."""
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/file").write_bytes(os.urandom(3000))
    (tmp_path / "root/link").symlink_to("etc/file")
    seed_of(kind, tmp_path / "root", tmp_path / "good")
    reader_of(kind, tmp_path)(tmp_path / "good")


@pytest.mark.long
@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("kind", KINDS)
def test_five_hundred_files_are_read_by_the_programs_or_refused(kind: str, tmp_path: Path) -> None:
    root, good, bad = tmp_path / "root", tmp_path / "good", tmp_path / "bad"
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_bytes(os.urandom(3000))
    # Of an ISO, a link that leaves it would be refused whatever else is wrong.
    (root / "link").symlink_to("etc/file" if kind == "iso" else "etc/" + "t" * 80)
    seed_of(kind, root, good)
    read = reader_of(kind, tmp_path)
    dice = random.Random(kind)
    for number in range(500):
        bad.write_bytes(spoiled(good.read_bytes(), dice))
        read_or_refused(partial(read, bad), f"{kind} {number}")
