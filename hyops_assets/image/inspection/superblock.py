"""The superblock of an ext4 file system, as bytes (kernel.org, Documentation/filesystems/ext4, "Super Block")."""

import struct
from dataclasses import dataclass

from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.inspection.files import UnreadableFileSystem

_AT, _BYTES = 1024, 1024
_MAGIC_AT, _MAGIC = 0x38, 0xEF53
_LABEL_AT, _LABEL_BYTES = 0x78, 16
_FEATURES_AT, _HAS_64_BIT = 0x60, 0x80
_BLOCKS_HIGH_AT, _FREE_HIGH_AT = 0x150, 0x158
_LARGEST_BLOCK_BITS = 16


@dataclass(frozen=True)
class Superblock:
    """What a file system says of itself: sizes in blocks of `block_bytes`, and its label."""

    blocks: int
    free_blocks: int
    free_inodes: int
    block_bytes: int
    label: str

    @property
    def free_bytes(self) -> int:
        """What can still be written, the part that is kept for root included: VyOS writes as root."""
        return self.free_blocks * self.block_bytes


def read_superblock(slot: Slot) -> Superblock:
    """Read the superblock of a slot.

    Raises:
        UnreadableFileSystem: there is no ext file system.
    """
    with slot.disk.open("rb") as file:
        file.seek(slot.offset + _AT)
        block = file.read(_BYTES)
    if len(block) < _BYTES or struct.unpack_from("<H", block, _MAGIC_AT)[0] != _MAGIC:
        raise UnreadableFileSystem(f"there is no ext4 file system at byte {slot.offset}")
    _inodes, blocks, _reserved, free, free_inodes, _first, bits = struct.unpack_from("<7I", block)
    if bits + 10 > _LARGEST_BLOCK_BITS:
        raise UnreadableFileSystem(f"the file system claims blocks of 2^{bits + 10} bytes")
    if struct.unpack_from("<I", block, _FEATURES_AT)[0] & _HAS_64_BIT:
        blocks |= struct.unpack_from("<I", block, _BLOCKS_HIGH_AT)[0] << 32
        free |= struct.unpack_from("<I", block, _FREE_HIGH_AT)[0] << 32
    label = block[_LABEL_AT : _LABEL_AT + _LABEL_BYTES].split(b"\0")[0].decode(errors="replace")
    return Superblock(blocks, free, free_inodes, 1024 << bits, label)
