"""Write .deb files byte by byte (deb(5)): exact owners, modes and times, without root and the same each time."""

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

_EPOCH = 1_700_000_000
_TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "fifo": tarfile.FIFOTYPE,
}


@dataclass(frozen=True)
class Entry:
    """One path of a package. `target` is a symlink's text, or the path that a hard link is another name of."""

    path: str
    kind: Literal["file", "directory", "symlink", "hardlink", "device", "fifo"] = "file"
    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    target: str = ""


@dataclass(frozen=True)
class Deb:
    """A package to write. Directories above an entry are added as root's, 0755."""

    name: str
    version: str
    entries: tuple[Entry, ...] = ()
    architecture: str = "all"
    depends: str = ""
    conffiles: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    """Further fields of the control file, such as `Breaks: x (<< 2)`."""
    extra_control: tuple[tuple[str, str], ...] = ()
    """Further control files, by name, such as a maintainer's script."""
    prefix: str = "."
    """What every path begins with in the archive; nothing makes it absolute, as no honest package is."""

    @property
    def file_name(self) -> str:
        """The name in a pool: without the version's epoch."""
        return f"{self.name}_{self.version.split(':', 1)[-1]}_{self.architecture}.deb"

    @property
    def control(self) -> str:
        """The control file (Debian policy §5.3)."""
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": "HyOps lab <lab@hyops.invalid>",
            "Depends": self.depends,
            "Section": "misc",
            "Priority": "optional",
            "Description": f"stand-in of {self.name} for the lab",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value) + "".join(
            f"{field}\n" for field in self.relations
        )


def write_deb(deb: Deb, destination: Path) -> None:
    """Write a package file."""
    control = [Entry("/control", content=deb.control.encode())]
    if deb.conffiles:
        control.append(Entry("/conffiles", content="".join(f"{path}\n" for path in deb.conffiles).encode()))
    control += [Entry(f"/{name}", content=text.encode(), mode=0o755) for name, text in deb.extra_control]
    members = {
        "debian-binary": b"2.0\n",
        "control.tar": _tar(control),
        "data.tar": _tar([*_directories(deb.entries), *deb.entries], deb.prefix),
    }
    with destination.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, content in members.items():
            # ar(5): name, time, owner, group, mode, size; every member starts at an even byte.
            file.write(f"{name:<16}{_EPOCH:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))


def _directories(entries: Iterable[Entry]) -> list[Entry]:
    parents = {str(parent) for entry in entries for parent in PurePosixPath(entry.path).parents}
    own = {entry.path for entry in entries}
    return [Entry(path, "directory", mode=0o755) for path in sorted(parents - own)]


def _tar(entries: Iterable[Entry], prefix: str = ".") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(f"{prefix}{entry.path}")
            member.type, member.mode = _TYPES[entry.kind], entry.mode
            member.uid, member.gid, member.mtime = entry.uid, entry.gid, _EPOCH
            member.linkname = f"{prefix}{entry.target}" if entry.kind == "hardlink" else entry.target
            member.size = len(entry.content)
            archive.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()
