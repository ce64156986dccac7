"""Turns at booting for tests that start QEMU themselves: at most two guests at once, of all that share this host.

The turns are the product's own (hyops_assets/image/boot/turns.py): a gate that boots in another worker, in a command
that a test started or in another run of the suite counts too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.boot.turns import host_directory, turn

GUESTS_AT_ONCE = 2
"""A worker has a core, and a guest under emulation fills it."""


@contextmanager
def turn_to_boot(progress: Progress = silent) -> Iterator[None]:
    """Hold one of the host's two turns for as long as a guest runs; wait until one is free.

    Read a clock for a deadline only inside. Nothing inside takes another turn: two that each hold one and wait for
    a second would wait for ever.
    """
    with turn(host_directory(), at_once=GUESTS_AT_ONCE, progress=progress):
        yield
