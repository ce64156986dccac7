"""How long-running work tells how far it is.

A `Progress` is called with the stage's name, the bytes done, and the bytes in all (None while unknown). It is
called often and must return at once; it may raise to cancel the work.
"""

from collections.abc import Callable

WAITING = "wait for "
"""How the stage begins in which work stands still until another's ends: shown where stages are not, too."""

POWER_ON = "power on "
"""How the stage begins in which a guest is powered on that takes minutes: shown where stages are not, too."""

Progress = Callable[[str, int, int | None], None]


def silent(stage: str, done: int, total: int | None) -> None:
    """Report nothing."""
