"""The .xz container, byte by byte: stream header, blocks, index, footer.

What belongs here: how bytes stand in the file. What is put into a block, and when, belongs to `rawxz.py`.
Specification: The .xz File Format 1.2.1 (tukaani.org/xz/xz-file-format.txt); LZMA2 chunks as liblzma decodes them.

Every block's header carries both of its sizes, which the format leaves optional: with them stock `xz -T0 -d`
hands blocks to several threads without decoding the ones before (xz 5.4 and later).
"""

import struct
import zlib
from dataclasses import dataclass

_STREAM_MAGIC = b"\xfd7zXZ\x00"
_FOOTER_MAGIC = b"YZ"
# The second byte names the integrity check of blocks: 1 is CRC32. It is the one that every decoder knows, small
# ones of rescue systems included, and the one Python's standard library has, at 3.6 GB/s. CRC64, the default of
# xz, would guard no better what two SHA-256 digests guard anyway.
_STREAM_FLAGS = b"\x00\x01"
_BOTH_SIZES_PRESENT = 0xC0
_LZMA2_FILTER_ID = 0x21
_MIN_DICTIONARY_BITS = 12
_STORED_FIRST = 0x01
_STORED_NEXT = 0x02
_STORED_CHUNK_BYTES = 1 << 16
_END_OF_CHUNKS = b"\x00"


@dataclass(frozen=True)
class Block:
    """One block of the stream: its bytes, and what the index says of it."""

    data: bytes
    unpadded_bytes: int
    uncompressed_bytes: int


def stream_header() -> bytes:
    """Return the 12 bytes that a stream begins with (section 2.1.1)."""
    return _STREAM_MAGIC + _STREAM_FLAGS + _crc32(_STREAM_FLAGS)


def block(payload: bytes, *, uncompressed_bytes: int, check: bytes, dictionary_bytes: int) -> Block:
    """Wrap LZMA2 data into a block (section 3).

    Args:
        payload: LZMA2 chunks, the end marker included.
        uncompressed_bytes: what they decode to.
        check: from `block_check`, of the uncompressed bytes.
        dictionary_bytes: what the decoder must provide, a power of two.
    """
    fields = (
        bytes([_BOTH_SIZES_PRESENT])
        + _number(len(payload))
        + _number(uncompressed_bytes)
        + bytes([_LZMA2_FILTER_ID, 1, _dictionary_property(dictionary_bytes)])
    )
    # The size byte, the fields, padding and a CRC32 make a multiple of four; the byte counts fours, less one.
    size = _round_up(1 + len(fields) + 4)
    header = bytes([size // 4 - 1]) + fields.ljust(size - 5, b"\x00")
    unpadded = size + len(payload) + len(check)
    data = b"".join((header, _crc32(header), payload, bytes(-len(payload) % 4), check))
    return Block(data, unpadded, uncompressed_bytes)


def block_check(uncompressed: bytes) -> bytes:
    """Return the integrity check of a block's uncompressed bytes: CRC32, little endian."""
    return _crc32(uncompressed)


def stored(data: bytes) -> bytes:
    """Return LZMA2 data that holds these bytes as they are, in chunks of 64 KiB: 3 bytes more for each."""
    parts: list[bytes] = []
    for start in range(0, len(data), _STORED_CHUNK_BYTES):
        chunk = data[start : start + _STORED_CHUNK_BYTES]
        parts.append(struct.pack(">BH", _STORED_NEXT if start else _STORED_FIRST, len(chunk) - 1))
        parts.append(chunk)
    return b"".join((*parts, _END_OF_CHUNKS))


class Index:
    """The list of blocks that ends a stream (section 4). Kept as its own bytes: 7 of them for a block."""

    def __init__(self) -> None:
        self._records = bytearray()
        self._count = 0

    def add(self, block: Block, times: int = 1) -> None:
        """Note a block, or a run of equal ones, in the order of the file."""
        record = _number(block.unpadded_bytes) + _number(block.uncompressed_bytes)
        self._records += record * times
        self._count += times

    def ending(self) -> bytes:
        """Return the index and the stream footer behind it."""
        content = b"\x00" + _number(self._count) + self._records
        content = content.ljust(_round_up(len(content)), b"\x00")
        backward_size = struct.pack("<I", (len(content) + 4) // 4 - 1)
        tail = backward_size + _STREAM_FLAGS
        return content + _crc32(content) + _crc32(tail) + tail + _FOOTER_MAGIC


def _number(value: int) -> bytes:
    """Encode an integer as the format does: 7 bits to a byte, the lowest first (section 1.2)."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _dictionary_property(size: int) -> int:
    """Encode a dictionary size that is a power of two (section 5.3.1); even values of the byte are those."""
    return (size.bit_length() - 1 - _MIN_DICTIONARY_BITS) * 2


def _crc32(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data))


def _round_up(size: int) -> int:
    return (size + 3) & ~3
