"""Whether bytes are compressed or encrypted already, judged by a few places of them.

Nothing but counting: the answer decides how a block is written, and so is part of a variant's bytes. A compressor
as judge would bring its own version into them, and takes ten times as long.
"""

_SAMPLES = 16
_SAMPLE_BYTES = 512
# Frequent in whatever has structure: tables and machine code (zero, 0xff, REX and mov of x86-64, near jumps and
# calls), text and scripts (space, newline, the most frequent letters).
_TELLING = b"\x00\x01\xff\x48\x8b\x89\x0f\xe8 \netaino"
# In noise they make up 16 of 256 bytes, which scatters by 4 % on 8 KiB: one block of noise in 400 is taken for
# structure, and costs a moment. Too few of them tell of structure as well.
_FEWEST, _MOST = 0.87, 1.13


def is_noise(data: bytes) -> bool:
    """Tell whether a compressor would gain nothing worth its time on these bytes."""
    stride = max(len(data) // _SAMPLES, 1)
    width = min(_SAMPLE_BYTES, stride)
    sample = b"".join(data[start : start + width] for start in range(0, len(data), stride))
    hits = sum(sample.count(value) for value in _TELLING)
    expected = len(sample) * len(_TELLING) / 256
    return _FEWEST * expected <= hits <= _MOST * expected
