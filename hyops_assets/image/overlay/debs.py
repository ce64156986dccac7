"""Unpack .debs into an overlay, as dpkg would, without root and without running a maintainer's script.

Owners, modes and links are read from the tar headers of `dpkg-deb` (deb(5)), never from a file system.
"""

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.disk.tree import Node
from hyops_assets.image.overlay.layers import Layers
from hyops_assets.image.programs import ProgramFailed, running


class BadPackage(HyopsError):
    """A .deb is damaged, or holds what no overlay may."""


class Staging:
    """A directory of files that wait for the disk's writer, named by number: no name of a guest meets the host's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0
        # What a killed run left is of no use: numbers say nothing about bytes.
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(parents=True)

    def next(self) -> Path:
        """Return the path of a file that does not exist yet."""
        self._count += 1
        return self._directory / f"{self._count:06d}"

    def hold(self, content: bytes) -> Path:
        """Write bytes to a new file and return its path."""
        path = self.next()
        path.write_bytes(content)
        return path


@dataclass
class Unpacked:
    """What one .deb brought. `paths` are as shipped, for dpkg's file list; `control` holds its control files."""

    name: str
    paths: list[str] = field(default_factory=list)
    control: dict[str, tuple[bytes, int]] = field(default_factory=dict)


def unpack(name: str, deb: Path, layers: Layers, staging: Staging) -> Unpacked:
    """Add the files of one .deb to an overlay.

    Args:
        name: the package's name, for messages.
        deb: the file; its hash was checked by whoever fetched it.
        layers: the overlay.
        staging: where the bytes wait.

    Raises:
        BadPackage: it is damaged, holds a device, or a path that leaves the tree.
        OverlayConflict: one of its files stands in the way of something else.
    """
    unpacked = Unpacked(name)
    with _archive(name, deb, "--ctrl-tarfile") as archive:
        for member in archive:
            if member.isreg():
                file_name = _path(name, member.name).lstrip("/")
                unpacked.control[file_name] = (_reader(archive, member).read(), member.mode & 0o777)
    with _archive(name, deb, "--fsys-tarfile") as archive:
        for member in archive:
            path = _path(name, member.name)
            if path != "/":
                _place(name, path, member, archive, layers, staging)
            unpacked.paths.append("/." if path == "/" else path)
    return unpacked


def _place(
    name: str, path: str, member: tarfile.TarInfo, archive: tarfile.TarFile, layers: Layers, staging: Staging
) -> None:
    mode, uid, gid = member.mode & 0o7777, member.uid, member.gid
    if member.isdir():
        layers.add_directory(path, Node("directory", mode, uid, gid))
    elif member.issym():
        layers.add_symlink(path, member.linkname)
    elif member.islnk():
        layers.add_hard_link(path, _path(name, member.linkname))
    elif member.isreg():
        source = staging.next()
        with source.open("wb") as file:
            shutil.copyfileobj(_reader(archive, member), file)
        layers.add_file(path, source, mode, uid=uid, gid=gid)
    else:
        raise BadPackage(f"{name} ships {path}, neither file, link nor directory", hint="leave the package out")


@contextmanager
def _archive(name: str, deb: Path, which: Literal["--ctrl-tarfile", "--fsys-tarfile"]) -> Iterator[tarfile.TarFile]:
    """Open a tar of a .deb as dpkg-deb streams it; raise unless both came to their proper end."""
    with running(["dpkg-deb", which, deb]) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("a program's output was not piped")
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                yield archive
            process.stdout.read()
        except tarfile.TarError as error:
            raise BadPackage(f"the .deb of {name} cannot be read: {error}", hint="fetch it again") from error
        printed = process.stderr.read().decode(errors="replace")
        if process.wait() != 0:
            failed = ProgramFailed(["dpkg-deb", which], f"failed with exit status {process.returncode}", printed)
            raise BadPackage(f"the .deb of {name} cannot be read: {failed.message}", hint="fetch it again")


def _path(name: str, shipped: str) -> str:
    """Return the absolute path of `./usr/bin/x`."""
    pure = PurePosixPath("/", shipped)
    if ".." in pure.parts or shipped.startswith("/"):
        raise BadPackage(f"{name} ships {shipped!r}, which leaves the tree", hint="leave the package out")
    return str(pure)


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    reader = archive.extractfile(member)
    if reader is None:
        raise RuntimeError(f"{member.name} is no regular file")
    return reader
