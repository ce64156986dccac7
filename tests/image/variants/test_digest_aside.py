import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hyops_assets.image.variants.disk_pieces import Piece
from hyops_assets.image.variants.disk_source import DigestAside, digest_aside


class _Endless:
    """A disk whose reading does not end by itself."""

    name, size_bytes = "disk.raw", 1 << 60

    def pieces(self, block_bytes: int) -> Iterator[Piece]:
        return itertools.repeat(Piece(block_bytes, None))

    def require_unchanged(self) -> None:
        return


def test_ctrl_c_while_the_thread_starts_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started = DigestAside.start

    def interrupted(self: DigestAside, thread: ThreadPoolExecutor) -> None:
        started(self, thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(DigestAside, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), digest_aside(_Endless()):
        pytest.fail("the block was entered")
