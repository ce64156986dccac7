"""Read a raw disk's files without mounting it: partition 3 through debugfs, and what a guest sees through both layers.

What belongs here: reading. What a disk must look like stands in `inspection.py`.
"""

import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import MissingMember, Squashfs
from hyops_assets.image.symlinks import SymlinkLoop, follow

EntryKind = Literal["directory", "file", "symlink", "whiteout", "other"]

_KINDS: Mapping[int, EntryKind] = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "whiteout",
}
_ROOT_INODE = 2
_ECHO = re.compile(r"debugfs: +(?:ls -p|stat) <(\d+)>")
_LISTED = re.compile(r"/(\d+)/(\d{6})/(\d+)/(\d+)/([^/]*)/(\d*)/")
_FAST_LINK = re.compile(r'^Fast link dest: "(.*)"$')
_BANNER = "debugfs "


class _Nothing(Exception):
    """A path on the way does not exist in the guest."""


class MissingFile(HyopsError):
    """A disk lacks a file that it must have, or has something else in its place."""

    def __init__(self, path: str, why: str = "no such file") -> None:
        super().__init__(f"{path}: {why}", hint="build the disk again")


class UnreadableFileSystem(HyopsError):
    """A file system holds something that cannot be read as a list of names."""


@dataclass(frozen=True)
class Entry:
    """One entry of the ext4 file system. A character device is taken for the mark of a removed file."""

    inode: int
    kind: EntryKind
    mode: int
    uid: int
    gid: int
    size: int


class Ext4Files:
    """The files of an ext4 file system in a disk image, read through debugfs as any user."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._tree: dict[str, Entry] = {}
        self._targets: dict[int, str] = {}

    @property
    def tree(self) -> Mapping[str, Entry]:
        """Every entry by absolute path; read once.

        Raises:
            UnreadableFileSystem: a name holds a line break.
            ProgramFailed: it is no ext4 file system.
        """
        if not self._tree:
            self._tree = {"/": Entry(_ROOT_INODE, "directory", 0o755, 0, 0, 0)} | dict(self._walk())
        return self._tree

    def below(self, directory: str) -> dict[str, Entry]:
        """Return what is below a directory, by path relative to it: `/etc`, `/etc/passwd`."""
        return {
            path.removeprefix(directory): entry
            for path, entry in self.tree.items()
            if path.startswith(f"{directory.rstrip('/')}/")
        }

    def names(self, directory: str) -> list[str]:
        """Return the names in a directory, `lost+found` left out; none where there is no such directory."""
        return sorted(
            name
            for path in self.tree
            if (name := PurePosixPath(path).name) and str(PurePosixPath(path).parent) == directory
            if name != "lost+found"
        )

    def require(self, path: str, kind: EntryKind) -> Entry:
        """Return an entry of this kind.

        Raises:
            MissingFile: there is none, or one of another kind.
        """
        entry = self.tree.get(path)
        if entry is None or entry.kind != kind:
            raise MissingFile(path, f"expected a {kind}, found {entry.kind if entry else 'nothing'}")
        return entry

    def read(self, path: str) -> bytes:
        """Return a file's bytes.

        Raises:
            MissingFile: there is no such file.
        """
        return self._debugfs(f"cat <{self.require(path, 'file').inode}>")

    def dump(self, path: str, destination: Path) -> None:
        """Copy a file out of the file system.

        Raises:
            MissingFile: there is no such file.
        """
        inode = self.require(path, "file").inode
        destination.unlink(missing_ok=True)
        destination.parent.mkdir(parents=True, exist_ok=True)
        run(["debugfs", "-R", f"dump <{inode}> {destination.name}", self._device], cwd=destination.parent)

    def target(self, path: str) -> str:
        """Return a symlink's text.

        Raises:
            MissingFile: there is no such symlink.
        """
        inode = self.require(path, "symlink").inode
        if inode not in self._targets:
            links = [entry.inode for entry in self.tree.values() if entry.kind == "symlink"]
            self._targets = dict(self._links(links))
        if inode not in self._targets:
            # A target of 60 bytes or more stands in a block of its own.
            self._targets[inode] = self._debugfs(f"cat <{inode}>").decode(errors="surrogateescape")
        return self._targets[inode]

    @property
    def _device(self) -> str:
        return f"{self._slot.disk.absolute()}?offset={self._slot.offset}"

    def _debugfs(self, command: str) -> bytes:
        finished = run(["debugfs", "-R", command, self._device])
        complaints = [line for line in finished.stderr.splitlines() if line and not line.startswith(_BANNER)]
        if complaints:
            raise UnreadableFileSystem(f"debugfs cannot {command}: {complaints[0]}", hint="build the disk again")
        return finished.stdout

    def _script(self, commands: Iterable[str]) -> list[str]:
        script = "".join(f"{command}\n" for command in commands).encode()
        finished = run(["debugfs", "-f", "-", self._device], stdin=script)
        return finished.stdout.decode(errors="surrogateescape").splitlines()

    def _walk(self) -> Iterator[tuple[str, Entry]]:
        """Yield all entries, one run of debugfs per level; directories are named by inode, so nothing is quoted."""
        level = {_ROOT_INODE: "/"}
        while level:
            below: dict[int, str] = {}
            for parent, name, entry in self._list(list(level)):
                path = str(PurePosixPath(level[parent]) / name)
                yield path, entry
                if entry.kind == "directory":
                    below[entry.inode] = path
            level = below

    def _list(self, directories: Sequence[int]) -> Iterator[tuple[int, str, Entry]]:
        parent = 0
        for line in self._script(f"ls -p <{inode}>" for inode in directories):
            if echo := _ECHO.fullmatch(line):
                parent = int(echo[1])
                continue
            if not line:
                continue
            listed = _LISTED.fullmatch(line)
            if listed is None:
                raise UnreadableFileSystem(f"a directory lists {line!r}", hint="build the disk again")
            mode, name = int(listed[2], 8), listed[5]
            # An unused entry of a directory has inode 0 and no name.
            if listed[1] != "0" and name not in (".", ".."):
                kind = _KINDS.get(stat.S_IFMT(mode), "other")
                owners = int(listed[3]), int(listed[4])
                yield parent, name, Entry(int(listed[1]), kind, stat.S_IMODE(mode), *owners, int(listed[6] or 0))

    def _links(self, inodes: Sequence[int]) -> Iterator[tuple[int, str]]:
        inode = 0
        for line in self._script(f"stat <{inode}>" for inode in inodes):
            if echo := _ECHO.fullmatch(line):
                inode = int(echo[1])
            elif link := _FAST_LINK.fullmatch(line):
                yield inode, link[1]


class EffectiveFiles:
    """What a guest sees: the overlay's upper directory over the squashfs, removed files removed."""

    def __init__(self, files: Ext4Files, upper: str, squashfs: Squashfs) -> None:
        self._files = files
        self._upper_at = upper
        self._squashfs = squashfs

    @cached_property
    def upper(self) -> Mapping[str, Entry]:
        """The upper directory's entries, by the guest's paths."""
        return self._files.below(self._upper_at)

    @cached_property
    def paths(self) -> Mapping[str, EntryKind]:
        """Every path of the guest and its kind, symlinks not followed."""
        hidden = {path for path, entry in self.upper.items() if entry.kind not in ("directory", "symlink")}
        replaced = hidden | {path for path, entry in self.upper.items() if entry.kind == "symlink"}
        seen: dict[str, EntryKind] = {
            path: member.kind if member.kind != "device" else "other"
            for path, member in self._squashfs.members().items()
            if path not in replaced and not any(str(parent) in replaced for parent in PurePosixPath(path).parents)
        }
        seen |= {path: entry.kind for path, entry in self.upper.items() if entry.kind != "whiteout"}
        return seen

    def resolve(self, path: str) -> str | None:
        """Return where a path leads in the guest, all symlinks followed; None where nothing is there."""

        def target_of(at: str) -> str | None:
            kind = self.paths.get(at)
            if kind is None:
                raise _Nothing
            return self._link(at) if kind == "symlink" else None

        try:
            return follow(path, target_of)
        except (_Nothing, SymlinkLoop):
            return None

    def find(self, path: str) -> bytes | None:
        """Return the bytes of the file that a guest finds at a path; None where it finds none."""
        at = self.resolve(path)
        if at is None or self.paths.get(at, "directory") != "file":
            return None
        return self._files.read(self._upper_at + at) if at in self.upper else self._squashfs.read(at)

    def read(self, path: str) -> bytes:
        """Return the bytes of the file that a guest finds at a path.

        Raises:
            MissingFile: it finds none.
        """
        content = self.find(path)
        if content is None:
            raise MissingFile(path)
        return content

    def files_below(self, directory: str) -> list[str]:
        """Return every file and symlink below a directory, symlinks to it not followed."""
        inside = f"{directory.rstrip('/')}/"
        return sorted(path for path, kind in self.paths.items() if kind != "directory" and path.startswith(inside))

    def _link(self, path: str) -> str:
        if path in self.upper:
            return self._files.target(self._upper_at + path)
        target = self._squashfs.members()[path].target
        if target is None:
            raise MissingMember(self._squashfs.path, path, "it is no symlink")
        return target
