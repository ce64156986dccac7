"""GUID partition tables, written and read as bytes (UEFI specification 2.10, chapter 5). Sectors of 512 bytes.

Written here rather than by a partitioning program: the table of a record is a pure function of its release and
size, whatever program the host has.
"""

import os
import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError

SECTOR_BYTES = 512
BACKUP_SECTORS = 33
"""What the backup table and header take at the disk's end."""

BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")

_HEADER = struct.Struct("<8s4sIII QQQQ 16s QIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_SIGNATURE, _REVISION = b"EFI PART", b"\x00\x00\x01\x00"
_ENTRIES, _ENTRY_BYTES = 128, 128
_FIRST_USABLE = 34
_PROTECTIVE = struct.Struct("<B3sB3sII")
_MBR_TABLE = 446
_MBR_MAGIC = b"\x55\xaa"
_MOST_32 = 0xFFFFFFFF


class BadPartitionTable(HyopsError):
    """No GUID partition table, a damaged one, or one that the disk cannot hold."""


@dataclass(frozen=True)
class Partition:
    """One partition; `first` and `last` are sectors, both included."""

    type: uuid.UUID
    unique: uuid.UUID
    first: int
    last: int
    name: str = ""

    @property
    def offset(self) -> int:
        """Where it begins, in bytes from the disk's start."""
        return self.first * SECTOR_BYTES

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return (self.last - self.first + 1) * SECTOR_BYTES


@dataclass(frozen=True)
class PartitionTable:
    """A disk's identity and its partitions, in the order of their numbers."""

    disk: uuid.UUID
    partitions: tuple[Partition, ...]


def write_table(disk: Path, table: PartitionTable) -> None:
    """Write the protective MBR and both copies of a table to a disk of its final size.

    The MBR's boot code (its first 440 bytes) stays as it is.

    Raises:
        BadPartitionTable: partitions overlap, or do not fit.
    """
    sectors = disk.stat().st_size // SECTOR_BYTES
    _require_fit(table.partitions, sectors)
    entries = _pack_entries(table.partitions)
    backup_at = sectors - BACKUP_SECTORS
    with disk.open("r+b") as file:
        file.seek(_MBR_TABLE)
        file.write(_protective_entry(sectors) + bytes(48) + _MBR_MAGIC)
        file.write(_pack_header(table.disk, entries, sectors, here=1, other=sectors - 1, entries_at=2))
        file.seek(2 * SECTOR_BYTES)
        file.write(entries)
        file.seek(backup_at * SECTOR_BYTES)
        file.write(entries)
        file.write(_pack_header(table.disk, entries, sectors, here=sectors - 1, other=1, entries_at=backup_at))


def read_table(disk: Path) -> PartitionTable:
    """Read a disk's table and verify it: signatures, both checksums, and that the backup copy says the same.

    Raises:
        BadPartitionTable: names what is wrong.
    """
    sectors = disk.stat().st_size // SECTOR_BYTES
    with disk.open("rb") as file:
        primary = _read_copy(file.fileno(), 1, sectors, "primary")
        backup = _read_copy(file.fileno(), sectors - 1, sectors, "backup")
    if primary != backup:
        raise _bad("the backup table differs from the primary one")
    _require_fit(primary.partitions, sectors)
    return primary


def _read_copy(descriptor: int, at: int, sectors: int, which: str) -> PartitionTable:
    raw = os.pread(descriptor, SECTOR_BYTES, at * SECTOR_BYTES) if at > 0 else b""
    if len(raw) < SECTOR_BYTES or raw[:8] != _SIGNATURE:
        raise _bad(f"sector {at} holds no {which} header")
    header = _HEADER.unpack(raw[: _HEADER.size])
    size, checksum, entries_at, entries_checksum = header[2], header[3], header[10], header[13]
    if not _HEADER.size <= size <= SECTOR_BYTES:
        raise _bad(f"the {which} header claims {size} bytes")
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:size]) != checksum or header[5] != at:
        raise _bad(f"the {which} header is damaged")
    if (header[11], header[12]) != (_ENTRIES, _ENTRY_BYTES):
        raise _bad(f"the {which} table has {header[11]} entries of {header[12]} bytes, expected 128 of 128")
    if not 0 < entries_at <= sectors:
        # Beyond what a file offset can hold, reading would fail in another way.
        raise _bad(f"the {which} table is said to begin at sector {entries_at} of {sectors}")
    entries = os.pread(descriptor, _ENTRIES * _ENTRY_BYTES, entries_at * SECTOR_BYTES)
    if len(entries) < _ENTRIES * _ENTRY_BYTES or zlib.crc32(entries) != entries_checksum:
        raise _bad(f"the {which} table is damaged")
    found = (_ENTRY.unpack_from(entries, index * _ENTRY_BYTES) for index in range(_ENTRIES))
    return PartitionTable(
        uuid.UUID(bytes_le=header[9]),
        tuple(
            Partition(
                uuid.UUID(bytes_le=kind),
                uuid.UUID(bytes_le=unique),
                first,
                last,
                name.decode("utf-16-le", "replace").rstrip("\0"),
            )
            for kind, unique, first, last, _attributes, name in found
            if any(kind)
        ),
    )


def _pack_entries(partitions: Sequence[Partition]) -> bytes:
    packed = b"".join(
        _ENTRY.pack(part.type.bytes_le, part.unique.bytes_le, part.first, part.last, 0, part.name.encode("utf-16-le"))
        for part in partitions
    )
    return packed.ljust(_ENTRIES * _ENTRY_BYTES, b"\0")


def _pack_header(disk: uuid.UUID, entries: bytes, sectors: int, *, here: int, other: int, entries_at: int) -> bytes:
    def packed(checksum: int) -> bytes:
        return _HEADER.pack(
            *(_SIGNATURE, _REVISION, _HEADER.size, checksum, 0, here, other, _FIRST_USABLE),
            *(sectors - BACKUP_SECTORS - 1, disk.bytes_le, entries_at, _ENTRIES, _ENTRY_BYTES, zlib.crc32(entries)),
        )

    return packed(zlib.crc32(packed(0))).ljust(SECTOR_BYTES, b"\0")


def _protective_entry(sectors: int) -> bytes:
    return _PROTECTIVE.pack(0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, _MOST_32))


def _require_fit(partitions: Sequence[Partition], sectors: int) -> None:
    free_from = _FIRST_USABLE
    for number, part in enumerate(partitions, 1):
        if part.first < free_from or part.last < part.first or part.last > sectors - BACKUP_SECTORS - 1:
            raise _bad(f"partition {number} ({part.first}-{part.last}) does not fit on {sectors} sectors")
        free_from = part.last + 1


def _bad(why: str) -> BadPartitionTable:
    return BadPartitionTable(f"not a usable GUID partition table: {why}", hint="build the disk again")
