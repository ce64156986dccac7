"""Write a tree as an ext4 file system into a disk image: any user, no mount, the same bytes every time.

`mkfs.ext4 -d` copies staged files with the caller's owners, large ones stay empty until `extents` fills them; one
`debugfs` script then gives every inode the owner, mode and times that the tree asks for. Nothing of the host's
configuration or clock is read.
"""

import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.bounded import Limits, run_bounded
from hyops_assets.image.budget import Budget
from hyops_assets.image.disk.extents import LargeFile, allocating, asking, claiming, copy_bytes, listed
from hyops_assets.image.disk.tree import Node, Tree
from hyops_assets.image.programs import run

BLOCK_BYTES = 4096
LARGE_BYTES = 4 << 20
"""From this size on a file is copied by the kernel, not by mkfs.ext4."""
_BANNER = "debugfs "
_TYPE_BITS = {"directory": stat.S_IFDIR, "file": stat.S_IFREG, "symlink": stat.S_IFLNK}
_TIMES = ("atime", "ctime", "mtime", "crtime")
# Every choice of mke2fs, named: GRUB 2.06 reads no file system with a newer mke2fs' defaults (orphan_file,
# metadata_csum_seed), and neither the host's /etc/mke2fs.conf nor its mke2fs shall choose.
_FEATURES = (
    *("none", "has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit", "flex_bg"),
    *("sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize", "metadata_csum"),
)
_CONFIGURATION = """\
[defaults]
base_features = none
default_mntopts = acl,user_xattr
enable_periodic_fsck = 0
[fs_types]
ext4 = {
}
"""
_INODE_BYTES, _BYTES_PER_INODE, _RESERVED_PERCENT, _FLEX_GROUPS, _REVISION = 256, 16384, 5, 16, 1
_SMALL_BYTES, _SMALL_JOURNAL_MIB, _JOURNAL_MIB = 1 << 30, 16, 64


class FileSystemFailed(HyopsError):
    """A file system could not be written as asked."""


@dataclass(frozen=True)
class Slot:
    """The part of a disk image that a file system fills: bytes from its start, and bytes in all."""

    disk: Path
    offset: int
    size_bytes: int

    @property
    def device(self) -> str:
        """The name by which the programs of e2fsprogs open it, in the disk's directory."""
        return f"./{self.disk.name}?offset={self.offset}"


def write_ext4(
    slot: Slot, tree: Tree, *, label: str, identity: uuid.UUID, epoch: int, scratch: Path, progress: Progress = silent
) -> None:
    """Fill a slot with an ext4 file system that holds a tree.

    Args:
        slot: where; its bytes are zero.
        tree: what; every directory of a path stands in it, too.
        label: the file system's label.
        identity: its UUID, and the seed of its directory hashes.
        epoch: seconds since 1970; dates every file and the file system itself.
        scratch: takes the staged files (hard links where the file system allows); what is made there is removed.
        progress: called with the bytes of large files that were copied.

    Raises:
        FileSystemFailed: a path's directory is missing from the tree, or the result is not as asked.
        ProgramFailed: mkfs.ext4 ended otherwise, out of space for example.
    """
    staging = scratch / "ext4"
    staging.mkdir()
    try:
        root = staging / "root"
        large = _stage(tree, root)
        (staging / "mke2fs.conf").write_text(_CONFIGURATION)
        # The library reads this variable in all of its programs: no time of the host gets in.
        frozen = {"E2FSPROGS_FAKE_TIME": str(epoch), "MKE2FS_CONFIG": str(staging / "mke2fs.conf")}
        extended = (
            f"offset={slot.offset},hash_seed={identity},root_owner=0:0,lazy_itable_init=0,nodiscard,no_copy_xattrs"
        )
        journal = _SMALL_JOURNAL_MIB if slot.size_bytes < _SMALL_BYTES else _JOURNAL_MIB
        run(
            [
                *("mkfs.ext4", "-q", "-F", "-t", "ext4", "-T", "ext4", "-O", ",".join(_FEATURES), "-o", "Linux"),
                *("-b", str(BLOCK_BYTES), "-I", str(_INODE_BYTES), "-i", str(_BYTES_PER_INODE)),
                *("-G", str(_FLEX_GROUPS), "-m", str(_RESERVED_PERCENT), "-r", str(_REVISION), "-e", "continue"),
                *("-J", f"size={journal}", "-L", label, "-U", str(identity), "-E", extended, "-d", root),
                *(f"./{slot.disk.name}", f"{slot.size_bytes // 1024}k"),
            ],
            env=frozen,
            cwd=slot.disk.parent,
        )
        script = _Script(slot, staging / "script", frozen)
        script.run(allocating(large, BLOCK_BYTES))
        runs = listed(script.run(asking(large)), large, BLOCK_BYTES)
        total = sum(file.size_bytes for file in large)
        copy_bytes(
            slot.disk, slot.offset, large, runs, BLOCK_BYTES, lambda done: progress("copy large files", done, total)
        )
        script.run([*claiming(runs), *_inode_settings(tree, epoch)])
        check_ext4(slot)
    finally:
        shutil.rmtree(staging)


def check_ext4(slot: Slot, budget: Budget | None = None) -> None:
    """Have e2fsck look at a slot; nothing is changed.

    Raises:
        ProgramFailed: it found something to repair.
        OverBudget: it took too long, or printed too much.
    """
    run_bounded(
        ["e2fsck", "-fn", slot.device],
        # A file system of 32 GiB takes a second.
        limits=Limits(seconds=60),
        budget=budget,
        env={"E2FSCK_CONFIG": "/dev/null"},
        cwd=slot.disk.parent,
    )


@dataclass(frozen=True)
class _Script:
    """Runs debugfs on a slot."""

    slot: Slot
    file: Path
    environment: Mapping[str, str]

    def run(self, lines: Iterable[str]) -> str:
        """Run commands and return what debugfs printed; nothing is run for no commands."""
        text = "".join(lines)
        if not text:
            return ""
        self.file.write_text(text)
        finished = run(
            ["debugfs", "-w", "-f", self.file, self.slot.device], env=self.environment, cwd=self.slot.disk.parent
        )
        # debugfs exits 0 although a line failed; what it prints to stderr beyond its banner is the failure.
        complaints = [line for line in finished.stderr.splitlines() if line.strip() and not line.startswith(_BANNER)]
        if complaints:
            raise FileSystemFailed(
                f"debugfs could not do {len(complaints)} of {len(text.splitlines())} steps, first: {complaints[0]}",
                hint="rename the path at its source, or report this with the path",
            )
        return finished.stdout.decode(errors="replace")


def _stage(tree: Tree, root: Path) -> list[LargeFile]:
    """Lay the tree out as plain files that its caller can read, whatever their modes will be.

    Returns:
        The files whose bytes are to be copied later: they stand empty.
    """
    large: list[LargeFile] = []
    root.mkdir()
    for path, node in tree.sorted():
        at = root / path.lstrip("/")
        parent = tree.nodes.get(str(PurePosixPath(path).parent))
        if path != "/" and str(PurePosixPath(path).parent) != "/" and (parent is None or parent.kind != "directory"):
            raise FileSystemFailed(f"the directory of {path} is not in the tree", hint="add it with owner and mode")
        if node.kind == "directory":
            at.mkdir(exist_ok=path == "/")
        elif node.kind == "symlink":
            at.symlink_to(_text(node))
        elif node.source is None:
            raise FileSystemFailed(f"{at.name} has no bytes", hint="give the node a source")
        elif (size := node.source.stat().st_size) >= LARGE_BYTES:
            at.touch()
            large.append(LargeFile(path, node.source, size))
        else:
            _stage_file(node.source, at)
    return large


def _stage_file(source: Path, at: Path) -> None:
    # A link costs nothing. A source that is linked elsewhere or not readable by its owner is copied: mkfs would take
    # the former for a hard link, and cannot read the latter.
    found = source.stat()
    if found.st_nlink == 1 and found.st_mode & stat.S_IRUSR and found.st_uid == os.geteuid():
        try:
            at.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, at)
    else:
        shutil.copyfile(source, at)


def _inode_settings(tree: Tree, epoch: int) -> Iterator[str]:
    nodes = {"/": Node("directory", 0o755), "/lost+found": Node("directory", 0o700), **tree.nodes}
    for path, node in nodes.items():
        yield from _inode_lines(path, node, epoch)


def _inode_lines(path: str, node: Node, epoch: int) -> Iterator[str]:
    yield f'sif "{path}" mode 0{_TYPE_BITS[node.kind] | node.mode:o}\n'
    yield f'sif "{path}" uid {node.uid}\n'
    yield f'sif "{path}" gid {node.gid}\n'
    for time in _TIMES:
        yield f'sif "{path}" {time} @{epoch}\n'
        yield f'sif "{path}" {time}_extra 0\n'


def _text(node: Node) -> str:
    if node.target is None:
        raise FileSystemFailed("a symlink has no target", hint="give the node a target")
    return node.target
