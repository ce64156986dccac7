"""One thing that `hyops doctor` looked at or tried."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HostCheck:
    """One thing that was looked at or tried.

    Attributes:
        name: what.
        ok: whether the work can go on with it.
        found: what is there, in words.
        hint: the line that mends it; empty where nothing is to be done.
    """

    name: str
    ok: bool
    found: str
    hint: str = ""
