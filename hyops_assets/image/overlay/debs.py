"""Unpack .debs into an overlay, as dpkg would, without root and without running a maintainer's script.

Owners, modes and links are read from the tar headers of `dpkg-deb` (deb(5)), never from a file system.
"""

import io
import shutil
import tarfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.bounded import Limits, stream_bounded
from hyops_assets.image.budget import NAME_MAX, PATH_MAX
from hyops_assets.image.disk.tree import Node
from hyops_assets.image.overlay.claims import Claims
from hyops_assets.image.overlay.layers import Layers
from hyops_assets.image.programs import ProgramFailed

MOST_BYTES = 1 << 30
"""What the packages of an overlay may take, unpacked: many times what cloud-init and the agent need (50 MB)."""

_MOST_CONTROL_BYTES = 16 << 20
_MOST_MEMBERS = 50_000
"""Of one archive of a package. The agent and cloud-init have 2,000."""
_MOST_AT_ONCE_BYTES = 256 << 10
"""Of an archive into memory: what tarfile reads in one piece is a member's name and attributes, or part of a file."""
_LEAST_MEMBER_BYTES = 4 << 10
"""What any member takes on a disk, an empty one too."""


class BadPackage(HyopsError):
    """A .deb is damaged, or holds what no overlay may."""


class Staging:
    """A directory of files that wait for the disk's writer, named by number: no name of a guest meets the host's.

    Args:
        directory: emptied first.
        most_bytes: what packages may unpack to in all.
    """

    def __init__(self, directory: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._count = 0
        self._most_bytes = most_bytes
        self._left_bytes = most_bytes
        # What a killed run left is of no use: numbers say nothing about bytes.
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(parents=True)

    def next(self) -> Path:
        """Return the path of a file that does not exist yet."""
        self._count += 1
        return self._directory / f"{self._count:06d}"

    def allow(self, name: str, size_bytes: int) -> None:
        """Count a member of a package before it is unpacked.

        Raises:
            BadPackage: with it, the packages take more than they may.
        """
        self._left_bytes -= max(size_bytes, _LEAST_MEMBER_BYTES)
        if self._left_bytes < 0:
            raise BadPackage(
                f"the packages up to {name} unpack to more than {self._most_bytes >> 20} MiB",
                hint="leave what is that large out of build.packages",
            )

    def hold(self, content: bytes) -> Path:
        """Write bytes to a new file and return its path."""
        path = self.next()
        path.write_bytes(content)
        return path


@dataclass
class Unpacked:
    """What one .deb brought.

    `paths` are as shipped, for dpkg's file list; `files` tells of each regular file where it was put; `control`
    holds the control files with their modes.
    """

    name: str
    paths: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    control: dict[str, tuple[bytes, int]] = field(default_factory=dict)


def unpack(name: str, deb: Path, layers: Layers, claims: Claims, staging: Staging) -> Unpacked:
    """Add the files of one .deb to an overlay.

    Args:
        name: the package's name, for messages.
        deb: the file; its hash was checked when it was fetched.
        layers: the overlay.
        claims: who owns which path in it.
        staging: where the bytes wait.

    Raises:
        BadPackage: it is damaged, is too large, or holds what could harm: a device, a program that runs as another
            user, a path that leaves the tree or leads through a link of a package.
        SharedPath: another package has one of its files.
        OverlayConflict: one of its files stands in the way of something else.
    """
    unpacked = Unpacked(name)
    with _archive(name, deb, "--ctrl-tarfile") as archive:
        for member in _members(name, archive):
            if member.isreg():
                _keep_control(unpacked, member, archive)
    with _archive(name, deb, "--fsys-tarfile") as archive:
        for member in _members(name, archive):
            path = _path(name, member.name)
            unpacked.paths.append("/." if path == "/" else path)
            if path == "/":
                continue
            staging.allow(name, member.size)
            _require_harmless(name, path, member, layers)
            if member.isdir():
                layers.add_directory(path, Node("directory", member.mode & 0o7777, member.uid, member.gid))
            else:
                at = claims.claim(name, path)
                _place(name, at, member, archive, layers, staging)
                if member.isreg() or member.islnk():
                    unpacked.files[path] = at
    return unpacked


def _members(name: str, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(archive):
        if count >= _MOST_MEMBERS:
            raise BadPackage(
                f"{name} holds more than {_MOST_MEMBERS} files", hint="leave the package out of build.packages"
            )
        yield member


def _keep_control(unpacked: Unpacked, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    file_name = _path(unpacked.name, member.name).lstrip("/")
    kept = sum(len(content) for content, _ in unpacked.control.values())
    if "/" in file_name or kept + member.size > _MOST_CONTROL_BYTES:
        raise BadPackage(
            f"{unpacked.name} has the control file {file_name!r} of {member.size} bytes", hint="leave the package out"
        )
    unpacked.control[file_name] = (_reader(archive, member).read(), member.mode & 0o777)


def _require_harmless(name: str, path: str, member: tarfile.TarInfo, layers: Layers) -> None:
    """Refuse what no package of an overlay needs, and what only an evil one has."""
    if not (member.isdir() or member.issym() or member.islnk() or member.isreg()):
        why = "neither file, link nor directory"
    elif member.isreg() and member.mode & 0o6000:
        why = "which would run as another user or group than its caller"
    elif not (0 <= member.uid < 1 << 32 and 0 <= member.gid < 1 << 32):
        why = f"whose owner {member.uid}:{member.gid} no file can have"
    elif member.issym() and not 0 < len(_encoded(member.linkname)) <= PATH_MAX:
        why = f"a link whose text has {len(_encoded(member.linkname))} bytes, which no link can have"
    elif layers.crosses_added_link(path):
        why = "which leads through a link that a package brought"
    else:
        return
    raise BadPackage(f"{name} ships {path[:PATH_MAX]}, {why}", hint="leave the package out of build.packages")


def _place(
    name: str, path: str, member: tarfile.TarInfo, archive: tarfile.TarFile, layers: Layers, staging: Staging
) -> None:
    if member.issym():
        layers.add_symlink(path, member.linkname)
    elif member.islnk():
        layers.add_hard_link(path, _path(name, member.linkname))
    else:
        source = staging.next()
        with source.open("wb") as file:
            shutil.copyfileobj(_reader(archive, member), file)
        layers.add_file(path, source, member.mode & 0o7777, uid=member.uid, gid=member.gid)


@contextmanager
def _archive(name: str, deb: Path, which: Literal["--ctrl-tarfile", "--fsys-tarfile"]) -> Iterator[tarfile.TarFile]:
    """Open a tar of a .deb as dpkg-deb streams it; raise unless both came to their proper end."""
    # An empty member takes a block of 512 bytes in the tar, and is counted as more: what is counted ends first.
    limits = Limits(seconds=120, output_bytes=2 * (_MOST_CONTROL_BYTES if which == "--ctrl-tarfile" else MOST_BYTES))
    try:
        with closing(stream_bounded(["dpkg-deb", which, deb], limits=limits)) as pieces:
            # Not `tarfile.open`: for a stream it puts a buffer of its own between, through which no size is seen.
            with tarfile.TarFile(fileobj=_Stream(pieces), mode="r") as archive:
                yield archive
            for _ in pieces:
                pass
    except (tarfile.TarError, ProgramFailed) as error:
        why = error.message if isinstance(error, ProgramFailed) else str(error)
        raise BadPackage(f"the .deb of {name} cannot be read: {why}", hint="fetch it again") from error


class _Stream(io.RawIOBase):
    """What a program prints, as a file that tarfile reads from: forwards only, a bounded part at a time.

    A name and its like are read in one piece, whatever size their header announces, so the size is refused here: it
    is the one place that every version of tarfile has to pass. Debian 13's 3.13 calls `TarInfo.frombuf` no more.
    """

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._at = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Read up to a position; what was read is gone."""
        if whence != io.SEEK_SET or offset < self._at:
            raise io.UnsupportedOperation("a stream is read forwards")
        while self._at < offset and self.read(min(offset - self._at, _MOST_AT_ONCE_BYTES)):
            pass
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes; fewer only where the stream ends.

        Raises:
            BadPackage: that many are never needed at once, or all were asked for.
        """
        if not 0 <= size <= _MOST_AT_ONCE_BYTES:
            raise BadPackage(
                f"a member's name and attributes are said to take {size} bytes",
                hint="leave the package out of build.packages",
            )
        found = bytearray()
        while len(found) < size and (self._rest or self._refilled()):
            wanted = size - len(found)
            found += self._rest[:wanted]
            self._rest = self._rest[wanted:]
        self._at += len(found)
        return bytes(found)

    def _refilled(self) -> bool:
        self._rest = memoryview(next(self._pieces, b""))
        return bool(self._rest)


def _path(name: str, shipped: str) -> str:
    """Return the absolute path of `./usr/bin/x`."""
    pure = PurePosixPath("/", shipped)
    if ".." in pure.parts or shipped.startswith("/"):
        raise BadPackage(f"{name} ships {shipped!r}, which leaves the tree", hint="leave the package out")
    longest = max(len(_encoded(part)) for part in pure.parts)
    if longest > NAME_MAX or len(_encoded(str(pure))) > PATH_MAX:
        raise BadPackage(
            f"{name} ships {str(pure)[:NAME_MAX]!r}, a longer name than a file can have", hint="leave the package out"
        )
    return str(pure)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    reader = archive.extractfile(member)
    if reader is None:
        raise RuntimeError(f"{member.name} is no regular file")
    return reader
