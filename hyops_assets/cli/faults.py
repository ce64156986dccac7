"""A fault of ours, told to the user in one line; what its mender needs is kept in a private file."""

import os
import sys
import tempfile
import traceback
from types import TracebackType

from hyops_assets.cli.environment import redacted


def tell_fault(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """Tell what no command foresaw, in place of Python's own `sys.excepthook`. No secret is printed or kept."""
    said = redacted(f"error: a fault of hyops itself: {kind.__name__}: {fault}")
    try:
        descriptor, name = tempfile.mkstemp(prefix="hyops-fault-", suffix=".txt")
        with os.fdopen(descriptor, "w") as file:
            file.write(redacted("".join(traceback.format_exception(kind, fault, trace))))
    except OSError as error:
        name = f"no trace of it: {error.strerror}"
    sys.stderr.write(f"{said}\n  next: report it, with {name}\n")
