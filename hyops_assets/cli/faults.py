"""A fault of ours: one line for the user; what its mender needs is kept in a private file."""

import os
import sys
import tempfile
import traceback

from hyops_assets.cli.environment import redacted
from hyops_assets.contract.printable import printable

_MOST_SAID = 300


def tell_fault(fault: BaseException | None) -> None:
    """Report an error that no command handles. No secret is printed or kept."""
    if fault is None:
        return
    # Blacked out before it is cut and folded: half a secret, or one without its line break, is not found any more.
    said = " ".join(printable(redacted(_said(fault))).split())
    shown = said if len(said) <= _MOST_SAID else f"{said[:_MOST_SAID]}…"
    try:
        descriptor, name = tempfile.mkstemp(prefix="hyops-fault-", suffix=".txt")
        with os.fdopen(descriptor, "w", errors="backslashreplace") as file:
            file.write(redacted("".join(traceback.format_exception(fault))))
    except OSError as error:
        name = f"no trace of it: {error.strerror}"
    sys.stderr.write(f"error: a fault of hyops itself: {shown}\n  next: report it, with {name}\n")


def _said(fault: BaseException) -> str:
    try:
        return f"{type(fault).__name__}: {fault}"
    except Exception as failed:  # noqa: BLE001 - an error whose text fails is printed all the same
        return f"{type(fault).__name__} (its text cannot be had: {type(failed).__name__})"
