import lzma
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.image.variants import rawxz_format
from hyops_assets.image.variants.lzma_zeros import MAX_ZEROS, zeros

DICTIONARY_BYTES = 1 << 16


def _expanded(packed: bytes) -> bytes:
    return lzma.decompress(packed, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": DICTIONARY_BYTES}])


@settings(max_examples=60, deadline=None)
@given(count=st.integers(8193, 1 << 16))
def test_any_number_of_zeros_expands_to_as_many(count: int) -> None:
    assert _expanded(zeros(count)) == bytes(count)


def test_the_largest_chunk_expands_and_takes_no_more_bytes_than_the_encoders_own() -> None:
    packed = zeros(MAX_ZEROS)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": DICTIONARY_BYTES}]
    assert _expanded(packed) == bytes(MAX_ZEROS)
    assert len(packed) < len(lzma.compress(bytes(MAX_ZEROS), lzma.FORMAT_RAW, filters=filters))


def test_the_bytes_are_these_in_every_version() -> None:
    assert zeros(1 << 14).hex() == (
        "e03fff003500000060f6d71ff07fa9159c13a588de4105fb4a3ed885d2b7"
        "2aba88876a8bd384bb4a5bad3cc5a4e7d677a2c304ab6c1cc9c2bbc4d79800"
    )


@pytest.mark.parametrize("program", ["xz", "xz -T2", "busybox xz"])
def test_every_stock_decoder_expands_them(program: str) -> None:
    """busybox has the decoder of kernels and rescue systems (xz-embedded), which is not liblzma."""
    words = program.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run([*words, "-dc"], input=_stream(MAX_ZEROS), capture_output=True, check=True)
    assert done.stdout == bytes(3 * MAX_ZEROS)


def _stream(count: int) -> bytes:
    block = rawxz_format.block(
        zeros(count),
        uncompressed_bytes=count,
        check=rawxz_format.block_check(bytes(count)),
        dictionary_bytes=DICTIONARY_BYTES,
    )
    index = rawxz_format.Index()
    index.add(block, 3)
    return rawxz_format.stream_header() + block.data * 3 + index.ending()
