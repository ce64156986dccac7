"""A built disk to be spoiled, and the stock tools to do it with: debugfs, mtools, sgdisk, and bytes by hand."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.inspection.questions import DiskFinding, Expected
from hyops_assets.image.programs import run
from tests.image.conftest import RELEASE

IMAGE = f"/boot/{RELEASE}"
UPPER = f"{IMAGE}/rw"
SECTOR = 512
LOADER = "EFI/BOOT/BOOTX64.EFI"


@dataclass(frozen=True)
class Bench:
    disk: Path
    scratch: Path

    @property
    def root(self) -> str:
        return f"{self.disk}?offset={528384 * SECTOR}"

    def patch(self, at: int, content: bytes) -> None:
        with self.disk.open("r+b") as file:
            file.seek(at)
            file.write(content)

    def debugfs(self, *commands: str) -> None:
        script = self.scratch / "script"
        script.write_text("".join(f"{command}\n" for command in commands))
        done = run(["debugfs", "-w", "-f", script, self.root])
        assert len(done.stderr.splitlines()) == 1, done.stderr

    def sgdisk(self, *words: str) -> None:
        run(["sgdisk", "--set-alignment=1", *words, self.disk])

    def read(self, path: str) -> str:
        return run(["debugfs", "-R", f"cat {path}", self.root]).text

    def exists(self, path: str) -> bool:
        return "File not found" not in run(["debugfs", "-R", f"stat {path}", self.root]).stderr

    def write(self, path: str, content: str | bytes) -> None:
        """Put a file at a path of partition 3, over one that stands there, in directories that are made."""
        source = self.scratch / "content"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        self.make_directories(os.path.dirname(path))  # noqa: PTH120
        removed = [f"rm {path}"] if self.exists(path) else []
        self.debugfs(*removed, f"write {source} {path}")

    def make_directories(self, path: str) -> None:
        missing: list[str] = []
        while not self.exists(path):
            missing.append(path)
            path = os.path.dirname(path)  # noqa: PTH120
        if missing:
            self.debugfs(*(f"mkdir {directory}" for directory in reversed(missing)))

    def replace(self, path: str, old: str, new: str) -> None:
        text = self.read(path)
        assert old in text
        self.write(path, text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        self.write(path, self.read(path) + text)

    def device(self, path: str, major: int = 0, minor: int = 0) -> None:
        """Put a character device over whatever stands at a path: 0:0 is overlayfs' whiteout."""
        directory, _, name = path.rpartition("/")
        self.make_directories(directory)
        removed = [f"rm {path}"] if self.exists(path) else []
        self.debugfs(*removed, f"cd {directory}", f"mknod {name} c {major} {minor}")

    def mark(self, path: str, name: str, value: str) -> None:
        self.make_directories(path)
        self.debugfs(f"ea_set {path} {name} {value}")

    @property
    def _esp(self) -> str:
        return f"{self.disk}@@{4096 * SECTOR}"

    def mtools(self, program: str, *words: str | Path) -> bytes:
        return run([program, "-i", self._esp, *words], env={"MTOOLS_SKIP_CHECK": "1"}).stdout

    def loader(self) -> bytes:
        return self.mtools("mcopy", f"::/{LOADER}", "-")

    def write_esp(self, path: str, content: bytes) -> None:
        source = self.scratch / "efi"
        source.write_bytes(content)
        self.mtools("mcopy", "-o", source, f"::/{path}")

    def qcow2(self) -> Path:
        container = self.scratch / "disk.qcow2"
        run(["qemu-img", "convert", "-O", "qcow2", self.disk, container])
        return container


def first_block(bench: Bench, path: str) -> int:
    """The byte of the disk at which a file of partition 3 begins."""
    block = run(["debugfs", "-R", f"bmap {path} 0", bench.root]).text
    return read_table(bench.disk).partitions[2].offset + int(block) * 4096


def lose_a_cluster(qcow2: Path) -> None:
    """Count a cluster of a qcow2 as used that nothing uses: what a crash in the middle of a write leaves."""
    with qcow2.open("r+b") as file:
        head = file.read(72)
        file.seek(struct.unpack_from(">Q", head, 48)[0])
        (block,) = struct.unpack(">Q", file.read(8))
        last = qcow2.stat().st_size // 65536
        file.seek(block + 2 * last)
        file.write(struct.pack(">H", 1))
        file.truncate((last + 1) * 65536)


def expected(built: BuiltDisk, **changes: object) -> Expected:
    promised: dict[str, object] = {
        "release": RELEASE,
        "squashfs_sha256": built.squashfs_sha256,
        "helper_sha256": built.helper_sha256,
        "console": "ttyS0",
        "console_speed": 115200,
        **changes,
    }
    return Expected(**promised)  # type: ignore[arg-type]


def failed(findings: list[DiskFinding]) -> list[str]:
    return [finding.name for finding in findings if finding.outcome == "failed"]
