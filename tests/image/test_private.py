import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.image.private import make_private_directory


@pytest.fixture(params=[0o000, 0o022, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


def test_each_directory_that_is_made_is_private_and_each_that_was_there_stays(tmp_path: Path, umask: int) -> None:
    tmp_path.chmod(0o755)
    make_private_directory(tmp_path / "a/b/c")
    make_private_directory(tmp_path / "a/b/c")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_is_no_directory_is_an_error(tmp_path: Path, kind: str) -> None:
    there = tmp_path / "there"
    there.touch() if kind == "file" else there.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="there"):
        make_private_directory(there / "below")
