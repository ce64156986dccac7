"""Look into a squashfs without mounting it: list, read, resolve, extract.

Paths are the guest's: absolute, `/etc/os-release`; a path without the leading slash means the same. Nothing here
needs root, and nothing here trusts a name inside the image: what could leave the tree is refused by name.
"""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.bounded import Limits, lines_of, run_bounded, stream_bounded
from hyops_assets.image.budget import NAME_MAX, PATH_MAX, Budget, OverBudget, asked_once
from hyops_assets.image.programs import ProgramFailed
from hyops_assets.image.symlinks import SymlinkLoop, follow

MemberKind = Literal["directory", "file", "symlink", "device", "other"]

_KINDS: Mapping[str, MemberKind] = {
    "d": "directory",
    "-": "file",
    "l": "symlink",
    "b": "device",
    "c": "device",
    "p": "other",
    "s": "other",
}
# Numbers are bounded: Python refuses to read one of more than 4300 digits, with an error of its own.
_LINE = re.compile(
    r"(?P<kind>[-dlbcps])(?P<mode>[-rwxsStT]{9}) (?P<uid>\d{1,10})/(?P<gid>\d{1,10}) +"
    r"(?P<size>\d{1,20}|\d{1,10}, *\d{1,10}) \d{4}-\d\d-\d\d \d\d:\d\d (?P<name>.*)",
    re.DOTALL | re.ASCII,
)
_ARROW = b" -> "
# A name that stands for itself: no empty part, none that is `.` or `..`. A pattern, because a path object for each
# of a hundred thousand names takes longer than the listing.
_PROPER = re.compile(r"/|(?:/(?!\.{1,2}(?:/|\Z))[^/\0]+)+", re.DOTALL)
_MOST_LINE_BYTES = 2 * PATH_MAX + 256
_MOST_LISTED_BYTES = 96 << 20
"""For the entries of a budget, names of 200 bytes and more."""
_UNSQUASHFS = ("unsquashfs", "-processors", "1", "-data-queue", "16", "-frag-queue", "16")
_MOST_EXTRACTED_BYTES = 4 << 30
MAX_READ_BYTES = 64 << 20
"""What `read` holds in memory at once. The largest file that the pipeline reads, dpkg's status, has 1 MB."""


class BadSquashfs(HyopsError):
    """Not a squashfs, a damaged one, or one with a member that could leave the tree it is extracted to."""


class MissingMember(HyopsError):
    """A squashfs lacks a member, or it is of another kind than was asked for."""

    def __init__(self, image: Path, path: str, why: str = "no such member") -> None:
        super().__init__(f"{image.name} has no usable {path}: {why}", hint="use an ISO of the expected layout")
        self.path = path


@dataclass(frozen=True)
class Member:
    """One entry. `mode` holds the 12 permission bits, `size` a file's bytes, `target` a symlink's text."""

    kind: MemberKind
    mode: int
    uid: int
    gid: int
    size: int
    target: str | None = None


class Squashfs:
    """A squashfs file, read through `unsquashfs`. Its listing is read once, when first needed."""

    def __init__(self, path: Path, budget: Budget | None = None) -> None:
        """Args: the file, and what looking into it may take; a budget of its own by default."""
        self.path = path
        self._budget = budget or Budget()

    def members(self) -> Mapping[str, Member]:
        """Return every member by absolute path, the root directory `/` included.

        Raises:
            BadSquashfs: not a squashfs, or a member's name is `..`, is listed twice, or spans lines.
            OverBudget: it has more members than any image of VyOS.
        """
        return self._members

    @asked_once
    def _members(self) -> Mapping[str, Member]:
        return MappingProxyType(self._list())

    def exists(self, path: str) -> bool:
        """Tell whether a member of exactly this path exists; symlinks are not followed."""
        return _absolute(path) in self.members()

    def resolve(self, path: str) -> str:
        """Return the path that a guest would reach: every symlink followed, `..` ending at the root.

        Raises:
            MissingMember: nothing is there, or the symlinks go round in circles.
        """

        def target_of(at: str) -> str | None:
            member = self.members().get(at)
            if member is None:
                raise MissingMember(self.path, path, f"{at} does not exist")
            return member.target

        try:
            return follow(path, target_of)
        except SymlinkLoop as error:
            raise MissingMember(self.path, path, "its symlinks go round in circles") from error

    def read(self, path: str) -> bytes:
        """Return a file's bytes; symlinks are followed inside the image.

        Raises:
            MissingMember: nothing is there, or it is no regular file.
            BadSquashfs: it has more than `MAX_READ_BYTES`, or the image is damaged.
        """
        resolved = self.resolve(path)
        member = self.members()[resolved]
        if member.kind != "file":
            raise MissingMember(self.path, path, f"it is a {member.kind}, not a file")
        if member.size > MAX_READ_BYTES:
            raise self._bad(f"{path} has {member.size} bytes, more than {MAX_READ_BYTES}")
        content = self._unsquash(["-no-wildcards", "-cat", self.path, resolved], Limits(output_bytes=MAX_READ_BYTES))
        if len(content) != member.size:
            raise self._bad(f"{path} has {len(content)} bytes, {member.size} are listed")
        return content

    def extract(self, paths: Iterable[str], destination: Path) -> None:
        """Write members, directories with all that is below them, to `destination/<their path>`.

        Symlinks are written as they are and may point anywhere: ask `resolve` before following one.

        Args:
            paths: members of this image.
            destination: a directory that is absent or empty. It appears complete, or not at all.

        Raises:
            MissingMember: a path does not exist.
            BadSquashfs: a device, a socket or a fifo is among them, or the image is damaged.
            OverBudget: they have more bytes than is ever taken out of an image.
        """
        wanted = sorted({_absolute(path) for path in paths})
        sizes = [size for path in wanted for size in self._extractable(path)]
        if sum(sizes) > _MOST_EXTRACTED_BYTES:
            raise OverBudget(f"what is taken out of {self.path.name}", f"{_MOST_EXTRACTED_BYTES} bytes")
        self._budget.spend("bytes", sum(sizes), f"what is taken out of {self.path.name}")
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
        try:
            tree = partial / "tree"
            if wanted:
                self._unsquash(
                    ["-no-progress", "-no-xattrs", "-no-wildcards", "-d", tree, self.path, *wanted],
                    Limits(seconds=300, file_bytes=max(sizes, default=0), wall_seconds=900),
                )
            else:
                tree.mkdir()
            # Moving a directory needs the right to write into it, which a read-only root of the image would deny.
            tree.chmod(tree.stat().st_mode | 0o700)
            os.replace(tree, destination)  # noqa: PTH105 - the one call that replaces an empty directory
        finally:
            shutil.rmtree(partial)

    def _list(self) -> dict[str, Member]:
        # A prefix that cannot be guessed: a file name that holds a newline cannot forge a line of the listing.
        prefix = secrets.token_hex(16)
        words = [*_UNSQUASHFS, "-UTC", "-d", prefix, "-lln", self.path]
        limits = Limits(output_bytes=_MOST_LISTED_BYTES)
        try:
            with closing(stream_bounded(words, limits=limits, budget=self._budget)) as pieces:
                return parse_listing(self._counted(lines_of(pieces, most_bytes=_MOST_LINE_BYTES)), prefix)
        except (BadSquashfs, ProgramFailed) as error:
            raise self._bad(error.message) from error

    def _counted(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        """Pay for each line of the listing as it comes."""
        for line in lines:
            self._budget.spend("entries", 1, f"the listing of {self.path.name}")
            yield line

    def _extractable(self, path: str) -> list[int]:
        """Return the bytes of each file at a path and below it."""
        if path not in self.members():
            raise MissingMember(self.path, path)
        sizes: list[int] = []
        for name, member in self.members().items():
            below = name == path or name.startswith(path.rstrip("/") + "/")
            if below and member.kind in ("device", "other"):
                what = "device" if member.kind == "device" else "fifo or a socket"
                raise self._bad(f"{name} is a {what}, which is never extracted")
            if below and member.kind == "file":
                sizes.append(member.size)
        return sizes

    def _unsquash(self, arguments: list[str | Path], limits: Limits) -> bytes:
        try:
            return run_bounded([*_UNSQUASHFS, *arguments], limits=limits, budget=self._budget).stdout
        except ProgramFailed as error:
            raise self._bad(error.message) from error

    def _bad(self, why: str) -> BadSquashfs:
        return BadSquashfs(f"{self.path.name} is not usable: {why}", hint="fetch the ISO again and verify it")


def parse_listing(lines: Iterable[bytes], prefix: str) -> dict[str, Member]:
    """Return the members that `unsquashfs -lln` lists, by absolute path.

    Args:
        lines: what it prints, taken as it comes: a directory before what is in it.
        prefix: the destination that it was given, which begins every name.

    Raises:
        BadSquashfs: a line of another form, or a tree that no file system can have: a member twice, one that climbs
            out, one below something that is no directory (it would be written through a link's target), a name or a
            link's text that no file can have.
    """
    members: dict[str, Member] = {}
    for line in lines:
        text = line.decode("utf-8", "surrogateescape")
        match = _LINE.fullmatch(text)
        name = match["name"].removeprefix(prefix) if match else ""
        if match is None or not match["name"].startswith(prefix) or name[:1] not in ("", "/"):
            raise _unbelievable(f"its listing has the line {text[:200]!r}")
        name, member = _member(match, name or "/")
        if name in members or not _PROPER.fullmatch(name):
            raise _unbelievable(f"its member {name[:200]!r} is listed twice or leaves the tree")
        _require_nameable(name, member)
        above = members.get(name.rpartition("/")[0] or "/") if name != "/" else member
        if above is None or above.kind != "directory":
            raise _unbelievable(f"its member {name[:200]!r} stands below what is no directory")
        members[name] = member
    if not members:
        raise _unbelievable("its listing is empty")
    return members


def _require_nameable(path: str, member: Member) -> None:
    """Refuse what Linux would not make: it ends an extraction in the middle, or never reaches a disk."""
    if len(path) * 4 > NAME_MAX:
        encoded = path.encode("utf-8", "surrogateescape")
        if len(encoded) > PATH_MAX or len(encoded.rpartition(b"/")[2]) > NAME_MAX:
            raise _unbelievable(f"its member {path[:200]!r} has a longer name than a file can have")
    if member.target is not None and not 0 < member.size <= PATH_MAX:
        raise _unbelievable(f"its symlink {path[:200]!r} has a text of {member.size} bytes, which no link can have")


def _unbelievable(why: str) -> BadSquashfs:
    return BadSquashfs(why, hint="fetch the ISO again and verify it")


def _absolute(path: str) -> str:
    """Return the absolute spelling of a guest path, `..` refused: `resolve` is the one that walks."""
    pure = PurePosixPath("/", path)
    if ".." in pure.parts:
        raise BadSquashfs(f"{path!r} leaves the image", hint="give a path without ..")
    return str(pure)


def _member(match: re.Match[str], name: str) -> tuple[str, Member]:
    kind = _KINDS[match["kind"]]
    # A device shows its numbers where others show a size.
    size = int(match["size"]) if match["size"].isdigit() else 0
    target = None
    if kind == "symlink":
        # The size of a symlink is the length of its target, which splits `a -> b -> c` in the one right place.
        raw = name.encode("utf-8", "surrogateescape")
        cut = len(raw) - size
        if cut <= len(_ARROW) or raw[cut - len(_ARROW) : cut] != _ARROW:
            raise _unbelievable(f"its symlink {name[:200]!r} has no target of {size} bytes")
        target = raw[cut:].decode("utf-8", "surrogateescape")
        name = raw[: cut - len(_ARROW)].decode("utf-8", "surrogateescape")
    return name, Member(kind, _mode(match["mode"]), int(match["uid"]), int(match["gid"]), size, target)


def _mode(text: str) -> int:
    """Return the 12 bits of `rwsr-xr-t`."""
    mode = 0
    for index, letter in enumerate(text):
        bit = 1 << (8 - index)
        if letter in "rwxst":
            mode |= bit
        if letter in "sS":
            mode |= 0o4000 if index == 2 else 0o2000
        if letter in "tT":
            mode |= 0o1000
    return mode
