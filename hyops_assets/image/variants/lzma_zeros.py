"""Zeros as LZMA2 data that stock decoders expand several times faster than what an encoder makes of them.

An encoder describes a run of zeros as "repeat the byte before", and decoders copy such a match byte by byte. The
same run described as "repeat what stands 4096 bytes before" is one memcpy per match: xz 5.4 expands 1.5 GB/s on a
core instead of 0.4 (docs/benchmarks.md). A disk image is mostly zeros, so that is most of the time of a decoder.
No encoder can be asked for it; the description is short, so it is written here.

Specification: LZMA specification (7-zip.org/sdk.html), in its terms; LZMA2 chunks as liblzma decodes them.
"""

import struct
from collections import defaultdict

MAX_ZEROS = 1 << 21
"""Bytes that one chunk may expand to."""

_DISTANCE = 4096
_LONGEST_MATCH = 273
_NEW_DICTIONARY_STATE_AND_PROPERTIES = 0xE0
# lc, lp and pb 0: contexts that do not depend on positions.
_PROPERTIES = 0
_END_OF_CHUNKS = b"\x00"
_HALF = 1 << 10
_PROBABILITY_BITS, _SHIFT = 11, 5
_TOP = 1 << 24
_WORD = 0xFFFFFFFF
_AFTER_LITERAL = 7


def zeros(count: int) -> bytes:
    """Return LZMA2 data, the end marker included, that expands to so many zeros: one chunk.

    Args:
        count: more than 8 KiB, at most 2 MiB.
    """
    coder = _Coder()
    coder.literal_zero()
    coder.match(1, _LONGEST_MATCH)
    done = 1 + _LONGEST_MATCH
    while done < _DISTANCE:
        length = min(_LONGEST_MATCH, _DISTANCE - done)
        coder.repeat(length)
        done += length
    coder.match(_DISTANCE, _LONGEST_MATCH)
    done += _LONGEST_MATCH
    while done < count:
        # A match is two bytes long or more: nothing of one byte may be left.
        length = min(_LONGEST_MATCH, count - done)
        length -= count - done - length == 1
        coder.repeat(length)
        done += length
    packed = coder.finish()
    control = _NEW_DICTIONARY_STATE_AND_PROPERTIES | (count - 1) >> 16
    header = struct.pack(">BHHB", control, (count - 1) & 0xFFFF, len(packed) - 1, _PROPERTIES)
    return header + packed + _END_OF_CHUNKS


class _Coder:
    """LZMA's range coder, and the three symbols that zeros need."""

    def __init__(self) -> None:
        self._probabilities: defaultdict[object, int] = defaultdict(lambda: _HALF)
        self._state = 0
        self._low, self._range = 0, _WORD
        # The last byte, and the 0xff behind it that a carry would still change.
        self._held, self._held_count = 0, 1
        self._out = bytearray()

    def literal_zero(self) -> None:
        """Code the byte 0 at the beginning."""
        self._bit(("match", self._state), 0)
        self._tree("literal", 0, 8)

    def match(self, distance: int, length: int) -> None:
        """Code a match at a new distance."""
        self._bit(("match", self._state), 1)
        self._bit(("rep", self._state), 0)
        self._length("match length", length)
        self._distance(distance - 1, min(length - 2, 3))
        self._state = _AFTER_LITERAL if self._state < _AFTER_LITERAL else 10

    def repeat(self, length: int) -> None:
        """Code a match at the same distance as the last one."""
        for name, value in (("match", 1), ("rep", 1), ("rep0", 0), ("rep0 long", 1)):
            self._bit((name, self._state), value)
        self._length("rep length", length)
        self._state = 8 if self._state < _AFTER_LITERAL else 11

    def finish(self) -> bytes:
        """Return everything that was coded."""
        for _ in range(5):
            self._shift()
        return bytes(self._out)

    def _length(self, name: str, length: int) -> None:
        value = length - 2
        self._bit((name, "choice"), int(value >= 8))
        if value < 8:
            self._tree((name, "low"), value, 3)
            return
        self._bit((name, "choice2"), int(value >= 16))
        if value < 16:
            self._tree((name, "mid"), value - 8, 3)
        else:
            self._tree((name, "high"), value - 16, 8)

    def _distance(self, value: int, length_state: int) -> None:
        bits = value.bit_length()
        slot = value if value < 4 else 2 * (bits - 1) + (value >> bits - 2 & 1)
        self._tree(("slot", length_state), slot, 6)
        if slot < 14:
            # Distances of this module have slots below 4 (no more bits) or from 14 on.
            return
        self._direct((value & (1 << bits - 2) - 1) >> 4, bits - 6)
        node = 1
        for place in range(4):
            bit = value >> place & 1
            self._bit(("align", node), bit)
            node = node << 1 | bit

    def _tree(self, name: object, value: int, bits: int) -> None:
        node = 1
        for place in reversed(range(bits)):
            bit = value >> place & 1
            self._bit((name, node), bit)
            node = node << 1 | bit

    def _bit(self, context: object, bit: int) -> None:
        probability = self._probabilities[context]
        bound = (self._range >> _PROBABILITY_BITS) * probability
        if bit:
            self._low += bound
            self._range -= bound
            self._probabilities[context] = probability - (probability >> _SHIFT)
        else:
            self._range = bound
            self._probabilities[context] = probability + ((1 << _PROBABILITY_BITS) - probability >> _SHIFT)
        self._normalize()

    def _direct(self, value: int, bits: int) -> None:
        for place in reversed(range(bits)):
            self._range >>= 1
            if value >> place & 1:
                self._low += self._range
            self._normalize()

    def _normalize(self) -> None:
        while self._range < _TOP:
            self._range = self._range << 8 & _WORD
            self._shift()

    def _shift(self) -> None:
        if self._low < 0xFF000000 or self._low > _WORD:
            carry = self._low >> 32
            self._out.append(self._held + carry & 0xFF)
            self._out += bytes([0xFF + carry & 0xFF]) * (self._held_count - 1)
            self._held_count = 0
            self._held = self._low >> 24 & 0xFF
        self._held_count += 1
        self._low = (self._low & 0x00FFFFFF) << 8
