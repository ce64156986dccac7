import lzma
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hyops_assets.image.programs import find_program
from hyops_assets.image.variants.entropy import is_noise

BLOCK = 1 << 16


def _blocks(content: bytes) -> list[bytes]:
    return [content[start : start + BLOCK] for start in range(0, len(content) - BLOCK, BLOCK)]


def _share(content: bytes) -> float:
    """The share of blocks that are taken for noise."""
    answers = [is_noise(block) for block in _blocks(content)]
    return sum(answers) / len(answers)


def test_random_bytes_are_noise() -> None:
    assert _share(random.Random(5).randbytes(16 << 20)) > 0.98


def test_programs_and_scripts_are_not() -> None:
    program = Path(find_program("qemu-img")).read_bytes()
    script = Path(random.__file__).read_bytes() * 10
    assert _share(program) < 0.1
    assert _share(script) == 0


@pytest.mark.parametrize("pack", [zlib.compress, lzma.compress])
def test_what_is_compressed_already_is_noise(pack: Callable[[bytes], bytes]) -> None:
    assert _share(pack(Path(find_program("qemu-img")).read_bytes())) > 0.9


@pytest.mark.parametrize("content", [bytes(BLOCK), b"\xff" * BLOCK, bytes(BLOCK - 1) + b"\x01"])
def test_the_plainest_blocks_are_not_noise(content: bytes) -> None:
    assert not is_noise(content)


def test_a_block_with_text_in_a_quarter_of_it_is_not_noise() -> None:
    content = (b"set interfaces ethernet eth0 address dhcp\n" * 400)[: BLOCK // 4] + os.urandom(BLOCK * 3 // 4)
    assert not is_noise(content)
