"""The files of an ext4 file system in a disk image, read through debugfs as any user; nothing is mounted.

What belongs here: reading one file system, whatever state it is in. What a guest sees through the overlay stands in
`effective.py`, what a disk must look like in the questions. Names are never written into a command: debugfs is asked
by inode, so no name needs quoting, and none can say something else.
"""

import re
import stat
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.bounded import Limits, lines_of, run_bounded, stream_bounded
from hyops_assets.image.budget import PATH_MAX, Budget, OverBudget, asked_once
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.symlinks import follow

EntryKind = Literal["directory", "file", "symlink", "whiteout", "other"]

MOST_READ_BYTES = 4 << 20
"""More than any text that is looked at; a file that claims more is not read into memory."""

_MOST_LEVELS = 64
"""Directories in each other. Each level takes a run of debugfs; an image of VyOS has fifteen."""
_MOST_LINE_BYTES = 128 << 10
"""An attribute of an inode may have 64 KiB, and is printed escaped."""
_MOST_LISTED_BYTES, _MOST_TOLD_BYTES = 64 << 20, 128 << 20
_KINDS: Mapping[int, EntryKind] = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "symlink",
}
_ROOT_INODE = 2
_ECHO = re.compile(r"debugfs: +(?:ls -p|stat) <([0-9]{1,10})>")
_LISTED = re.compile(r"/([0-9]{1,10})/([0-7]{6})/([0-9]{1,10})/([0-9]{1,10})/([^/]*)/([0-9]{0,20})/")
_FAST_LINK = re.compile(r'Fast link dest: "(.*)"')
_DEVICE = re.compile(r"(?:\(New-style\) )?Device major/minor number: ([0-9]+):([0-9]+) .*")
_MARK = re.compile(r"  ((?:trusted|user)\.overlay\.[a-z]+) \([0-9]+\)(?: = (.*))?")
_BANNER = "debugfs "


class MissingFile(HyopsError):
    """A disk lacks a file that it must have, or has something else in its place."""

    def __init__(self, path: str, why: str = "no such file") -> None:
        super().__init__(f"{path}: {why}", hint="build the disk again")


class UnreadableFileSystem(HyopsError):
    """A file system, or a part of it, that cannot be read for what it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="build the disk again")


@dataclass(frozen=True)
class Entry:
    """One entry of the file system. A character device 0:0 is overlayfs' mark of a removed file, a whiteout."""

    inode: int
    kind: EntryKind
    mode: int
    uid: int
    gid: int
    size: int


@dataclass
class Details:
    """What a listing does not tell of an inode: a short symlink's text, a device's numbers, overlayfs' attributes."""

    target: str | None = None
    device: tuple[int, int] | None = None
    marks: dict[str, str] = field(default_factory=dict)


class Ext4Files:
    """The files of an ext4 file system in a disk image."""

    def __init__(self, slot: Slot, budget: Budget | None = None) -> None:
        """Args: where it lies, and what looking into it may take; a budget of its own by default."""
        self._slot = slot
        self._budget = budget or Budget()

    @asked_once
    def tree(self) -> Mapping[str, Entry]:
        """Every entry by absolute path; read once.

        Raises:
            UnreadableFileSystem: a directory is damaged, stands in itself, or holds a name with a line break.
            ProgramFailed: it is no ext4 file system.
            OverBudget: it holds more than any disk of VyOS.
        """
        tree = {"/": Entry(_ROOT_INODE, "directory", 0o755, 0, 0, 0)}
        for path, entry in self._walk():
            self._budget.spend("entries", 1, f"the listing of {self._slot.disk.name}")
            if path in tree:
                raise UnreadableFileSystem(f"{path} is listed twice")
            tree[path] = entry
        devices = [entry.inode for entry in tree.values() if entry.kind == "whiteout"]
        kept = {inode for inode, details in self._details(devices).items() if details.device == (0, 0)}
        return {
            path: replace(entry, kind="other") if entry.kind == "whiteout" and entry.inode not in kept else entry
            for path, entry in tree.items()
        }

    @asked_once
    def _known(self) -> Mapping[int, Details]:
        """The details of every entry, read in one go."""
        return self._details(entry.inode for entry in self.tree.values())

    def below(self, directory: str) -> dict[str, Entry]:
        """Return what is below a directory, by path relative to it: `/etc`, `/etc/passwd`."""
        return {
            path.removeprefix(directory): entry
            for path, entry in self.tree.items()
            if path.startswith(f"{directory.rstrip('/')}/")
        }

    def names(self, directory: str) -> list[str]:
        """Return the names in a directory, `lost+found` left out; none where there is no such directory."""
        inside = f"{directory.rstrip('/')}/"
        found = (path.removeprefix(inside) for path in self.tree if path.startswith(inside))
        return sorted(name for name in found if name and "/" not in name and name != "lost+found")

    def require(self, path: str, kind: EntryKind) -> Entry:
        """Return an entry of this kind.

        Raises:
            MissingFile: there is none, or one of another kind.
        """
        entry = self.tree.get(path)
        if entry is None or entry.kind != kind:
            raise MissingFile(path, f"expected a {kind}, found {entry.kind if entry else 'nothing'}")
        return entry

    def resolve(self, path: str) -> str:
        """Return where a path leads, symlinks followed as GRUB follows them: from this file system's own root.

        Raises:
            SymlinkLoop: they go round in circles.
        """

        def target_of(at: str) -> str | None:
            entry = self.tree.get(at)
            return self.target(at) if entry is not None and entry.kind == "symlink" else None

        return follow(path, target_of)

    def read(self, path: str, *, most_bytes: int = MOST_READ_BYTES) -> bytes:
        """Return a file's bytes.

        Raises:
            MissingFile: there is no such file, or it claims more than `most_bytes`.
        """
        return b"".join(self.pieces(path, most_bytes=most_bytes))

    def pieces(self, path: str, *, most_bytes: int) -> Iterator[bytes]:
        """Yield a file's bytes in pieces of at most 1 MiB.

        Raises:
            MissingFile: there is no such file, or it claims more than `most_bytes`.
            UnreadableFileSystem: not as many bytes can be read as it claims.
        """
        entry = self.require(path, "file")
        if entry.size > most_bytes:
            raise MissingFile(path, f"a file of {entry.size} bytes, {most_bytes} at most were expected")
        done = 0
        with closing(self._cat(entry)) as found:
            for piece in found:
                done += len(piece)
                yield piece
        if done != entry.size:
            raise UnreadableFileSystem(f"{path}: {done} of {entry.size} bytes can be read")

    def dump(self, path: str, destination: Path) -> None:
        """Copy a file out of the file system.

        Raises:
            MissingFile: there is no such file, or it claims more bytes than the whole file system has.
            UnreadableFileSystem: not as many bytes can be read as it claims.
        """
        entry = self.require(path, "file")
        if entry.size > self._slot.size_bytes:
            raise MissingFile(path, f"a file of {entry.size} bytes on a partition of {self._slot.size_bytes}")
        self._budget.spend("bytes", entry.size, path)
        destination.unlink(missing_ok=True)
        destination.parent.mkdir(parents=True, exist_ok=True)
        command = f"dump <{entry.inode}> {destination.name}"
        limits = Limits(seconds=120, file_bytes=entry.size)
        words = ["debugfs", "-R", command, self._device]
        _require_silence(run_bounded(words, limits=limits, budget=self._budget, cwd=destination.parent).stderr)
        found = destination.stat().st_size if destination.exists() else 0
        if found != entry.size:
            raise UnreadableFileSystem(f"{path}: {found} of {entry.size} bytes can be read")

    def target(self, path: str) -> str:
        """Return a symlink's text.

        Raises:
            MissingFile: there is no such symlink.
            UnreadableFileSystem: its text is not as long as it claims.
        """
        entry = self.require(path, "symlink")
        target = self._known[entry.inode].target if entry.inode in self._known else None
        if target is None:
            # One of 60 bytes or more stands in a block of its own.
            if not 0 < entry.size <= PATH_MAX:
                raise UnreadableFileSystem(f"{path}: a symlink's text of {entry.size} bytes, which none can have")
            with closing(self._cat(entry)) as found:
                target = b"".join(found).decode(errors="surrogateescape")
        if len(target.encode(errors="surrogateescape")) != entry.size:
            raise UnreadableFileSystem(f"{path}: the text of this symlink has not the {entry.size} bytes it claims")
        return target

    def marks(self, path: str) -> Mapping[str, str]:
        """Return overlayfs' own attributes of an entry, such as `trusted.overlay.opaque`, by name."""
        entry = self.tree.get(path)
        known = self._known.get(entry.inode) if entry else None
        return known.marks if known else {}

    @property
    def _device(self) -> str:
        return f"{self._slot.disk.absolute()}?offset={self._slot.offset}"

    def _cat(self, entry: Entry) -> Generator[bytes, None, None]:
        """Yield a file's bytes, never more than it claims."""
        words = ["debugfs", "-R", f"cat <{entry.inode}>", self._device]
        return stream_bounded(words, limits=Limits(output_bytes=entry.size), budget=self._budget)

    def _answers(self, commands: Iterable[str], most_bytes: int) -> Iterator[str]:
        """Yield the lines that debugfs prints for some commands, as it prints them."""
        script = "".join(f"{command}\n" for command in commands).encode()
        said: list[str] = []
        limits = Limits(output_bytes=most_bytes)
        words = ["debugfs", "-f", "-", self._device]
        with closing(
            stream_bounded(words, limits=limits, budget=self._budget, stdin=script, said=said.append)
        ) as pieces:
            # Not splitlines(): it would part a name at any of ten other characters.
            for line in lines_of(pieces, most_bytes=_MOST_LINE_BYTES):
                yield line.decode(errors="surrogateescape")
        _require_silence("".join(said))

    def _walk(self) -> Iterator[tuple[str, Entry]]:
        """Yield all entries, one run of debugfs per level."""
        level = {_ROOT_INODE: ""}
        seen = set(level)
        for _ in range(_MOST_LEVELS):
            below: dict[int, str] = {}
            asked = self._answers((f"ls -p <{inode}>" for inode in level), _MOST_LISTED_BYTES)
            for parent, name, entry in parse_listing(asked):
                if parent not in level:
                    raise UnreadableFileSystem(f"a directory lists what belongs to inode {parent}")
                path = f"{level[parent]}/{name}"
                yield path, entry
                if entry.kind == "directory":
                    if entry.inode in seen:
                        raise UnreadableFileSystem(f"the directory {path} stands in two places, or in itself")
                    seen.add(entry.inode)
                    below[entry.inode] = path
            if not below:
                return
            level = below
        raise OverBudget(f"the tree of {self._slot.disk.name}", f"{_MOST_LEVELS} levels of directories")

    def _details(self, inodes: Iterable[int]) -> dict[int, Details]:
        wanted = sorted(set(inodes))
        if not wanted:
            return {}
        return parse_details(self._answers((f"stat <{inode}>" for inode in wanted), _MOST_TOLD_BYTES))


def parse_listing(lines: Iterable[str]) -> Iterator[tuple[int, str, Entry]]:
    """Read what debugfs prints for `ls -p <inode>`: yield the directory's inode, a name, and the entry.

    Raises:
        UnreadableFileSystem: a line is neither a command nor an entry, as a name with a line break makes them.
    """
    parent = 0
    for line in lines:
        if echo := _ECHO.fullmatch(line):
            parent = int(echo[1])
            continue
        if not line:
            continue
        listed = _LISTED.fullmatch(line)
        if listed is None:
            raise UnreadableFileSystem(f"a directory lists {line!r}")
        mode, name = int(listed[2], 8), listed[5]
        # An unused entry of a directory has inode 0 and no name.
        inode = int(listed[1])
        if inode == 0 or name in (".", ".."):
            continue
        if not name or "\0" in name:
            raise UnreadableFileSystem(f"a directory lists {line!r}")
        # Which devices are whiteouts, their numbers tell: not the listing.
        kind = "whiteout" if stat.S_ISCHR(mode) else _KINDS.get(stat.S_IFMT(mode), "other")
        owners = int(listed[3]), int(listed[4])
        yield parent, name, Entry(inode, kind, stat.S_IMODE(mode), *owners, int(listed[6] or 0))


def parse_details(lines: Iterable[str]) -> dict[int, Details]:
    """Read what debugfs prints for `stat <inode>`, by inode.

    Raises:
        UnreadableFileSystem: an inode is listed twice, as the text of a symlink with a line break could feign it.
    """
    found: dict[int, Details] = {}
    details = Details()
    for line in lines:
        # Two lines of a dozen tell anything: this sorts out most of the others before the patterns do.
        if line[:1] not in ("d", "F", "D", "(", " "):
            continue
        if echo := _ECHO.fullmatch(line):
            if int(echo[1]) in found:
                raise UnreadableFileSystem(f"inode {echo[1]} is listed twice")
            details = found[int(echo[1])] = Details()
        elif link := _FAST_LINK.fullmatch(line):
            details.target = link[1]
        elif device := _DEVICE.fullmatch(line):
            details.device = int(device[1][:9]), int(device[2][:9])
        elif mark := _MARK.fullmatch(line):
            details.marks[mark[1]] = (mark[2] or "").strip('"')
    return found


def _require_silence(printed: str) -> None:
    """Raise what debugfs complains about: it ends with 0 all the same."""
    complaints = [line.strip() for line in printed.splitlines() if line.strip() and not line.startswith(_BANNER)]
    if complaints:
        raise UnreadableFileSystem(f"debugfs: {complaints[0]}")
