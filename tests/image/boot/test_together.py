"""Boots side by side in one thread: each goes on when what it waits for is there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hyops_assets.image.boot.together import Pause, Paused, alone, together


class Broken(Exception):
    """What one of several boots raises."""


@contextmanager
def noting(ended: list[str], name: str) -> Iterator[None]:
    try:
        yield
    finally:
        ended.append(name)


def reader(descriptor: int, written: int) -> Paused[bytes]:
    """Read one byte, then write it with one added: two of them can only end side by side."""
    assert (yield Pause(60, descriptor))
    read = os.read(descriptor, 1)
    os.write(written, bytes([read[0] + 1]))
    return read


def test_a_boot_that_waits_for_another_is_served_by_it_and_results_keep_their_order() -> None:
    first, second = os.pipe(), os.pipe()
    try:
        os.write(second[1], b"a")
        assert together([reader(first[0], second[1]), reader(second[0], first[1])]) == [b"b", b"a"]
    finally:
        for descriptor in (*first, *second):
            os.close(descriptor)


def test_a_pause_without_bytes_ends_with_no() -> None:
    silent, other = os.pipe()

    def boot() -> Paused[bool]:
        return (yield Pause(0.01, silent))

    try:
        assert alone(boot()) is False
    finally:
        os.close(silent)
        os.close(other)


def test_a_boot_that_never_waits_returns_at_once() -> None:
    def boot() -> Paused[str]:
        return "adopted"
        yield Pause(0)

    assert together([boot(), boot()]) == ["adopted", "adopted"]


def test_what_one_boot_raises_ends_the_others_and_passes_through() -> None:
    ended: list[str] = []

    def waits() -> Paused[None]:
        with noting(ended, "waits"):
            yield Pause(60)

    def breaks() -> Paused[None]:
        with noting(ended, "breaks"):
            yield Pause(0)
            raise Broken

    with pytest.raises(Broken):
        together([waits(), breaks()])
    assert ended == ["breaks", "waits"]
