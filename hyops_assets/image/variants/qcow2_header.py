"""The head of a qcow2 file, read before any program opens the file.

A qcow2 may name other files: a backing file, a data file. A program that opens it opens those too, whatever they
are (CVE-2024-4467 showed it for `qemu-img info`), and a disk that lies in two files is no canonical disk anyway.
What belongs here: whether a file may be handed to qemu-img. Specification: qemu.org, docs/interop/qcow2.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.record import MOST_DISK_BYTES

_MAGIC = b"QFI\xfb"
_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_READ_BYTES = 1 << 16
_CLUSTER_BITS = range(9, 22)
# Bits of features that a reader must know. Another compression and extended L2 entries only ask for a newer
# qemu-img, which says so itself.
_NEWER_FEATURES = {3, 4}
_REFUSED_FEATURES = {
    0: "it was not closed cleanly",
    1: "it is marked as corrupt",
    2: "its data lies in another file",
}
# As qemu: no disk of up to 1 TiB needs more.
_MAX_FIRST_TABLE_BYTES = 32 << 20
_MAX_OFFSET = 1 << 56
_END = 0
_FOREIGN_EXTENSIONS = {
    0xE2792ACA: "it names the format of a backing file",
    0x44415441: "it names a data file",
    0x0537BE77: "it is encrypted",
}


class NotPlainQcow2(Refused):
    """A file that is no qcow2, or one that does not hold its whole disk, readable, in itself."""


class BadQcow2(HyopsError):
    """A qcow2 that cannot be read, or that was written otherwise than it should be."""


@dataclass(frozen=True)
class Qcow2Header:
    """What the head of an acceptable qcow2 says.

    Attributes:
        disk_bytes: the guest-visible size.
        version: 2 or 3.
        cluster_bits: a cluster is of 2 to this power bytes, 9 to 21.
        first_table_entries: of the first of two levels of tables (L1).
        first_table_offset: its first byte in the file.
        newer_reader: whether it is compressed otherwise than by deflate, or has extended entries.
    """

    disk_bytes: int
    version: int
    cluster_bits: int
    first_table_entries: int
    first_table_offset: int
    newer_reader: bool


def require_plain_qcow2(path: Path) -> Qcow2Header:
    """Return the header of a qcow2 that is complete in itself.

    Raises:
        NotPlainQcow2: it is none, or has a backing file, a data file, encryption, internal snapshots, a feature
            this pipeline does not know, or a size of more than 1 TiB; names everything that was found.
    """
    with path.open("rb") as file:
        head = file.read(_READ_BYTES)
    found = _objections(head)
    if found:
        raise NotPlainQcow2(
            f"{path.name} is refused: {'; '.join(found)}",
            hint="flatten it first: qemu-img convert -O qcow2 <source> <new file>, on a machine that trusts it",
        )
    _, version, _, _, cluster_bits, size, _, first_entries, first_offset, *_ = _V2.unpack_from(head)
    features = _V3.unpack_from(head, _V2.size)[0] if version > 2 else 0
    return Qcow2Header(
        disk_bytes=size,
        version=version,
        cluster_bits=cluster_bits,
        first_table_entries=first_entries,
        first_table_offset=first_offset,
        newer_reader=any(features >> bit & 1 for bit in _NEWER_FEATURES),
    )


def _objections(head: bytes) -> list[str]:
    if len(head) < _V2.size or not head.startswith(_MAGIC):
        return ["it is no qcow2 file"]
    _, version, backing_offset, backing_size, cluster_bits, size, *rest = _V2.unpack_from(head)
    encryption, first_entries, first_offset, _, _, snapshots, _ = rest
    if version not in (2, 3):
        return [f"its version is {version}, not 2 or 3"]
    if cluster_bits not in _CLUSTER_BITS:
        return [f"its clusters are of 2^{cluster_bits} bytes"]
    broken = (
        (backing_offset or backing_size, "it has a backing file"),
        (encryption, "it is encrypted"),
        (snapshots, f"it holds {snapshots} internal snapshots"),
        (size > MOST_DISK_BYTES, f"its disk has {size} bytes, more than {MOST_DISK_BYTES}"),
        (
            first_offset >= _MAX_OFFSET or first_entries * 8 > _MAX_FIRST_TABLE_BYTES,
            f"its first table has {first_entries} entries at byte {first_offset}",
        ),
    )
    found = [why for is_broken, why in broken if is_broken]
    return found + (_v3_objections(head) if version == 3 else _extension_objections(head, _V2.size))


def _v3_objections(head: bytes) -> list[str]:
    if len(head) < _V2.size + _V3.size:
        return ["its header is cut off"]
    incompatible, _, _, _, header_bytes = _V3.unpack_from(head, _V2.size)
    found = [
        _REFUSED_FEATURES.get(bit, f"it needs the unknown feature {bit}")
        for bit in range(64)
        if incompatible >> bit & 1 and bit not in _NEWER_FEATURES
    ]
    if header_bytes % 8 or not _V2.size + _V3.size <= header_bytes <= len(head):
        return [*found, f"its header has {header_bytes} bytes"]
    return found + _extension_objections(head, header_bytes)


def _extension_objections(head: bytes, offset: int) -> list[str]:
    """Walk the header extensions: type, length, data, padded to eight bytes."""
    found: list[str] = []
    while offset + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, offset)
        if kind == _END:
            return found
        if kind in _FOREIGN_EXTENSIONS:
            found.append(_FOREIGN_EXTENSIONS[kind])
        offset += 8 + (length + 7 & ~7)
    return [*found, "its header extensions have no end"]
