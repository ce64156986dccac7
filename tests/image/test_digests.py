import hashlib
import os
from pathlib import Path

import pytest

from hyops_assets.image.digests import CHUNK_BYTES, sha256_of_file

SIZES = [0, 1, 4095, 4096, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]


@pytest.mark.parametrize("size", SIZES)
def test_a_dense_file_has_the_digest_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "x").write_bytes(content)
    assert sha256_of_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("data_at", [(), (0,), (CHUNK_BYTES,), (0, 2 * CHUNK_BYTES), (3 * CHUNK_BYTES - 8,)])
def test_holes_count_as_the_zeros_they_are(tmp_path: Path, data_at: tuple[int, ...]) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(3 * CHUNK_BYTES)
        for offset in data_at:
            file.seek(offset)
            file.write(b"payload!")
    assert sha256_of_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_progress_ends_at_the_files_size(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2 * CHUNK_BYTES + 5)
    done_bytes: list[int] = []
    sha256_of_file(path, progress=lambda stage, done, total: done_bytes.append(done))
    assert done_bytes == sorted(done_bytes)
    assert done_bytes[-1] == 2 * CHUNK_BYTES + 5
