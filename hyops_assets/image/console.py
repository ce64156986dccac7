"""What a serial console prints, as plain text."""

import re

_CONTROL = re.compile(r"\x1b(?:\[[0-9;?=]*[ -/]*[@-~]|[ -/]*[0-Z\\-~])|[\x00\x07\x0e\x0f]")
"""Sequences that move a terminal's cursor or colour its text, and characters that show nothing (ECMA-48)."""


def plain(printed: bytes) -> str:
    """Return what was printed without a terminal's control sequences; carriage returns are dropped."""
    return _CONTROL.sub("", printed.decode(errors="replace")).replace("\r", "")


def console_tail(console: str, lines: int = 30) -> str:
    """Return the last lines of a console that hold text, without the terminal's control sequences."""
    shown = [line.rstrip() for line in console.splitlines()]
    return "\n".join([line for line in shown if line][-lines:])
