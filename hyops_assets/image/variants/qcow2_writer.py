"""Disk to qcow2: clusters placed one after another, deflated on all cores where that pays.

The file is what `qemu-img convert -c` writes (version 3, clusters of 64 KiB, deflate, zeros absent), for every
reader that reads that one, and a pure function of the disk and of zlib's version: nothing depends on time, threads
or holes. Clusters of noise (most of a disk that carries a squashfs) are stored without an attempt to deflate them.

What belongs here: how a disk's clusters stand in the file. Specification: qemu.org, docs/interop/qcow2.
"""

import os
import struct
import sys
import zlib
from array import array
from dataclasses import dataclass

from hyops_assets.image.variants.disk_pieces import Piece
from hyops_assets.image.variants.entropy import is_noise

CLUSTER_BYTES = 1 << 16
_CLUSTER_BITS = 16
_ZEROS = bytes(CLUSTER_BYTES)
_SECTOR_BYTES = 512
# What qemu-img deflates with. Every reader inflates with this window.
_LEVEL, _WINDOW_BITS, _MEMORY_LEVEL = 6, -12, 9

_COPIED = 1 << 63
_COMPRESSED = 1 << 62
_SECTORS_SHIFT = 62 - (_CLUSTER_BITS - 8)
_ENTRIES_OF_TABLE = CLUSTER_BYTES // 8
_REFCOUNT_ORDER = 4
_COUNTS_OF_BLOCK = CLUSTER_BYTES // 2
_VERSION = 3
# To the spec's `header_length`: magic, version, backing file (offset, size), cluster bits, size, encryption, L1
# (entries, offset), refcount table (offset, clusters), snapshots (number, offset), feature bits (three), refcount
# order, header length; then the header extensions' end.
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQIIQ")
_HEADER_LENGTH = 104


@dataclass(frozen=True)
class _Place:
    """Where the tables stand, in clusters of the file; `clusters` is where data begins."""

    tables: int
    first_table: int
    second_tables: int
    count_table: int
    count_blocks: int
    clusters: int

    @classmethod
    def of(cls, disk_bytes: int) -> "_Place":
        data = _clusters(disk_bytes)
        tables = -(-data // _ENTRIES_OF_TABLE)
        second_tables = 1 + _clusters(tables * 8)
        count_table = second_tables + tables
        blocks, clusters = 0, count_table
        # The counts' own clusters are counted too.
        while blocks * _COUNTS_OF_BLOCK < clusters + data:
            blocks += 1
            clusters = count_table + _clusters(blocks * 8) + blocks
        return cls(tables, 1, second_tables, count_table, count_table + _clusters(blocks * 8), clusters)


@dataclass(frozen=True)
class Cluster:
    """A cluster as it will stand in the file: whole, or deflated."""

    data: bytes | memoryview
    deflated: bool


def clusters_of(piece: Piece) -> list[Cluster | None]:
    """Turn a piece of the disk into clusters; None is one of zeros. Runs in several threads at once.

    Args:
        piece: begins at a border of clusters.
    """
    if piece.data is None:
        return [None] * _clusters(piece.size_bytes)
    view = memoryview(piece.data)
    return [_cluster(view[start : start + CLUSTER_BYTES]) for start in range(0, len(view), CLUSTER_BYTES)]


class Qcow2Writer:
    """Writes clusters in the disk's order, and the tables before them once all are known.

    Header, first table, second tables, reference counts, data: with the tables at the end, a file cut off in a
    transfer would be a disk of zeros for qemu-img, without an error. Their place is as large as the disk could ask
    for, 2 clusters for each GiB; what it did not ask for stays zeros. Deflated clusters stand side by side and share
    clusters of the file; whole ones stand at its clusters' borders.
    """

    def __init__(self, descriptor: int, disk_bytes: int) -> None:
        """Begin an empty file.

        Args:
            descriptor: of a file of no bytes, open for writing.
            disk_bytes: of the disk.
        """
        self._descriptor = descriptor
        self._disk_bytes = disk_bytes
        self._at = 0
        self._place = _Place.of(disk_bytes)
        self._tables: dict[int, array[int]] = {}
        # How often each cluster of the file is used.
        self._counts: array[int] = array("H", bytes(2 * self._place.clusters))
        self._packed_end = 0

    def add(self, clusters: list[Cluster | None]) -> None:
        """Write the disk's next clusters."""
        for cluster in clusters:
            if cluster is not None:
                entry = self._deflated(cluster.data) if cluster.deflated else self._whole(cluster.data)
                number, place = divmod(self._at, _ENTRIES_OF_TABLE)
                if number not in self._tables:
                    self._tables[number] = array("Q", _ZEROS)
                self._tables[number][place] = entry
            self._at += 1

    def finish(self) -> None:
        """Write the tables and, last, the header."""
        place = self._place
        first_table = array("Q", bytes(place.tables * 8))
        for number, table in self._tables.items():
            cluster = place.second_tables + number
            first_table[number] = _COPIED | cluster * CLUSTER_BYTES
            self._counts[cluster] = 1
            self._write(_big_endian(table), cluster * CLUSTER_BYTES)
        self._write(_big_endian(first_table), place.first_table * CLUSTER_BYTES)
        blocks = -(-len(self._counts) // _COUNTS_OF_BLOCK)
        for cluster in (*range(place.second_tables), *range(place.count_table, place.count_blocks + blocks)):
            self._counts[cluster] = 1
        offsets = ((place.count_blocks + block) * CLUSTER_BYTES for block in range(blocks))
        self._write(_big_endian(array("Q", offsets)), place.count_table * CLUSTER_BYTES)
        self._write(_big_endian(self._counts), place.count_blocks * CLUSTER_BYTES)
        os.truncate(self._descriptor, len(self._counts) * CLUSTER_BYTES)
        header = _HEADER.pack(
            b"QFI\xfb", _VERSION, 0, 0, _CLUSTER_BITS, self._disk_bytes, 0,
            place.tables, place.first_table * CLUSTER_BYTES,
            place.count_table * CLUSTER_BYTES, place.count_blocks - place.count_table,
            0, 0, 0, 0, 0, _REFCOUNT_ORDER, _HEADER_LENGTH, 0,
        )  # fmt: skip
        self._write(header, 0)

    def _whole(self, data: bytes | memoryview) -> int:
        offset = len(self._counts) * CLUSTER_BYTES
        self._counts.append(1)
        self._write(data, offset)
        return _COPIED | offset

    def _deflated(self, data: bytes | memoryview) -> int:
        """Write a deflated cluster behind the last one where it fits, else at a new cluster of the file."""
        room = -self._packed_end % CLUSTER_BYTES
        at_the_end = self._packed_end + room == len(self._counts) * CLUSTER_BYTES
        offset = self._packed_end if room >= len(data) or (room and at_the_end) else len(self._counts) * CLUSTER_BYTES
        self._packed_end = offset + len(data)
        first, last = offset // CLUSTER_BYTES, (self._packed_end - 1) // CLUSTER_BYTES
        self._counts.extend([0] * (last + 1 - len(self._counts)))
        for used in range(first, last + 1):
            self._counts[used] += 1
        self._write(data, offset)
        more_sectors = (self._packed_end - 1) // _SECTOR_BYTES - offset // _SECTOR_BYTES
        return _COMPRESSED | more_sectors << _SECTORS_SHIFT | offset

    def _write(self, data: bytes | memoryview, offset: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, offset)
            rest, offset = rest[written:], offset + written


def _clusters(size_bytes: int) -> int:
    return -(-size_bytes // CLUSTER_BYTES)


def _cluster(data: memoryview) -> Cluster | None:
    block = bytes(data) if len(data) == CLUSTER_BYTES else bytes(data).ljust(CLUSTER_BYTES, b"\0")
    if block == _ZEROS:
        return None
    if is_noise(block):
        return Cluster(block, deflated=False)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    packed = deflate.compress(block) + deflate.flush()
    return Cluster(packed, deflated=True) if len(packed) < CLUSTER_BYTES else Cluster(block, deflated=False)


def _big_endian(numbers: "array[int]") -> bytes:
    ordered = array(numbers.typecode, numbers)
    if sys.byteorder == "little":
        ordered.byteswap()
    return ordered.tobytes()
