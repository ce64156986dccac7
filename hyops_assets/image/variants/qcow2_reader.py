"""The disk that a qcow2 holds, read straight from its clusters: no raw copy is written on the way.

It reads what this pipeline writes and what qemu-img writes by default: versions 2 and 3, clusters of any size,
stored, deflated or absent. The file may come from elsewhere: nothing in it is believed before it is checked.
Specification: qemu.org, docs/interop/qcow2.
"""

import os
import sys
import zlib
from array import array
from collections.abc import Iterator

from hyops_assets.image.budget import OverBudget
from hyops_assets.image.variants.decoding import MOST_DATA_BYTES
from hyops_assets.image.variants.disk_pieces import MAX_ZERO_RUN_BYTES, Piece
from hyops_assets.image.variants.encoded import require_disk_size
from hyops_assets.image.variants.qcow2_header import BadQcow2, Qcow2Header

_COMPRESSED = 1 << 62
_ALL_ZEROS = 1
_OFFSET = 0x00FFFFFFFFFFFE00
_SECTOR_BYTES = 512
_MOST_CLUSTERS = 1 << 25
"""Twice those of the largest disk in clusters of 64 KiB, which qemu-img makes."""
# Raw deflate with a window of 4 KiB: what every qcow2 has.
_WINDOW_BITS = -12


class Qcow2Disk:
    """A disk inside a qcow2. Its methods keep no state and may run in several threads at once."""

    def __init__(self, descriptor: int, header: Qcow2Header, name: str) -> None:
        """Read the first table.

        Args:
            descriptor: of the open file, which must stay open.
            header: from `require_plain_qcow2`.
            name: the file's, for errors.

        Raises:
            BadQcow2: the first table is too short for the disk, or lies beyond the file's end.
            NotADisk: the disk is empty or no whole number of sectors.
        """
        self._descriptor = descriptor
        self._cluster_bytes = 1 << header.cluster_bits
        self._has_zero_flag = header.version > 2
        # Above them: how many sectors beyond the first a compressed cluster takes.
        self._packed_offset_bits = 62 - (header.cluster_bits - 8)
        self.name = name
        self.size_bytes = require_disk_size(header.disk_bytes, name)
        self._clusters_of_table = self._cluster_bytes // 8
        tables = -(-self.size_bytes // (self._clusters_of_table * self._cluster_bytes))
        if header.first_table_entries < tables:
            raise self._bad(f"its first table has {header.first_table_entries} entries, {tables} are needed")
        self._first_table = self._table(header.first_table_offset, tables)

    def pieces(self, block_bytes: int) -> Iterator[Piece]:
        """Cut the disk into blocks of data and runs of blocks that the qcow2 does not hold.

        Args:
            block_bytes: bytes of a block, a power of two; the last one may be shorter.

        Raises:
            BadQcow2: a cluster lies beyond the file's end, or does not expand to a cluster.
        """
        # A cluster is read and inflated once, also where blocks are smaller.
        chunk_bytes = max(block_bytes, self._cluster_bytes)
        zeros = 0
        for offset, entries in self._chunks(chunk_bytes):
            size = min(chunk_bytes, self.size_bytes - offset)
            if not any(entries):
                zeros += size
            if zeros and (any(entries) or zeros >= MAX_ZERO_RUN_BYTES):
                yield Piece(zeros, None)
                zeros = 0
            if any(entries):
                data = self._data(entries, size)
                for start in range(0, size, block_bytes):
                    block = data[start : start + block_bytes]
                    yield Piece(len(block), block)
        if zeros:
            yield Piece(zeros, None)

    def require_whole(self) -> None:
        """Verify that every cluster begins within the file, and that they are as many as a disk's.

        Readers take what lies beyond a file's end for zeros, and read a cluster as often as a table names it: a
        table that names the same ones again and again makes a tebibyte of a few kilobytes.

        Raises:
            BadQcow2: the file was cut off, or holds fewer clusters than its tables name.
            OverBudget: its disk has more clusters, or more data, than a router's.
        """
        end = os.fstat(self._descriptor).st_size
        if len(self._first_table) * self._clusters_of_table > _MOST_CLUSTERS:
            raise OverBudget(f"the tables of {self.name}", f"{_MOST_CLUSTERS} clusters")
        stored = packed = 0
        for number in range(len(self._first_table)):
            for entry in filter(None, self._second_table(number)):
                if self._offset(entry) >= end:
                    raise self._bad(f"it has {end} bytes, and a cluster at byte {self._offset(entry)}")
                if entry & _COMPRESSED:
                    packed += self._cluster_bytes
                else:
                    stored += self._cluster_bytes
            if stored > end:
                raise self._bad(f"it has {end} bytes, and its tables name clusters of more")
            if packed + stored > MOST_DATA_BYTES:
                raise OverBudget(f"the disk in {self.name}", f"{MOST_DATA_BYTES} bytes of data")

    def _chunks(self, chunk_bytes: int) -> Iterator[tuple[int, "array[int]"]]:
        """Yield where each chunk of the disk begins, and the entries of its clusters."""
        number, table = -1, self._no_table()
        count = chunk_bytes // self._cluster_bytes
        # A chunk may reach over several tables where clusters are small.
        step = min(count, self._clusters_of_table)
        for offset in range(0, self.size_bytes, chunk_bytes):
            entries: array[int] = array("Q")
            cluster = offset // self._cluster_bytes
            for first in range(cluster, cluster + count, step):
                wanted, at = divmod(first, self._clusters_of_table)
                if wanted != number:
                    number, table = wanted, self._second_table(wanted)
                entries += table[at : at + step]
            yield offset, entries

    def _second_table(self, number: int) -> "array[int]":
        offset = self._first_table[number] & _OFFSET if number < len(self._first_table) else 0
        if not offset:
            return self._no_table()
        table = self._table(offset, self._clusters_of_table)
        if self._has_zero_flag:
            # Preallocated, and still to be read as zeros.
            return array("Q", [0 if not x & _COMPRESSED and x & _ALL_ZEROS else x for x in table])
        return table

    def _no_table(self) -> "array[int]":
        return array("Q", bytes(self._clusters_of_table * 8))

    def _table(self, offset: int, entries: int) -> "array[int]":
        table = array("Q", self._read(offset, entries * 8))
        if sys.byteorder == "little":
            table.byteswap()
        return table

    def _data(self, entries: "array[int]", size: int) -> bytes:
        """Return so many bytes of clusters; those that stand side by side in the file are read at once."""
        parts: list[bytes] = []
        at = 0
        while size > 0:
            entry = entries[at]
            count = 1
            if entry and not entry & _COMPRESSED:
                while at + count < len(entries) and self._follows(entry, entries[at + count], count):
                    count += 1
            parts.append(self._clusters(entry, min(count * self._cluster_bytes, size)))
            size -= len(parts[-1])
            at += count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _follows(self, entry: int, other: int, distance: int) -> bool:
        expected = (entry & _OFFSET) + distance * self._cluster_bytes
        return not other & _COMPRESSED and other & _OFFSET == expected

    def _clusters(self, entry: int, length: int) -> bytes:
        if not entry & ~(1 << 63):
            return bytes(length)
        if entry & _COMPRESSED:
            return self._inflated(entry)[:length]
        offset = self._offset(entry)
        if offset % self._cluster_bytes:
            raise self._bad(f"a cluster lies at byte {offset}")
        return self._read(offset, length)

    def _inflated(self, entry: int) -> bytes:
        """Return the cluster of a compressed entry: offset in the low bits, sectors beyond the first above."""
        offset = self._offset(entry)
        sectors = (entry & _COMPRESSED - 1) >> self._packed_offset_bits
        length = (sectors + 1) * _SECTOR_BYTES - offset % _SECTOR_BYTES
        # The last sector need not be there in full: deflate knows its end.
        packed = os.pread(self._descriptor, length, offset)
        try:
            data = zlib.decompressobj(_WINDOW_BITS).decompress(packed, self._cluster_bytes)
        except zlib.error as error:
            raise self._bad(f"the cluster at byte {offset} does not inflate: {error}") from error
        if len(data) != self._cluster_bytes:
            raise self._bad(f"the cluster at byte {offset} inflates to {len(data)} bytes")
        return data

    def _offset(self, entry: int) -> int:
        return entry & ((1 << self._packed_offset_bits) - 1 if entry & _COMPRESSED else _OFFSET)

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        if len(data) != length:
            raise self._bad(f"it ends before byte {offset + length}, where data should be")
        return data

    def _bad(self, why: str) -> BadQcow2:
        return BadQcow2(f"{self.name} is damaged: {why}", hint="encode or fetch the file again")
