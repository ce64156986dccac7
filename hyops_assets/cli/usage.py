"""How a command is called wrongly, and which exit status says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from hyops_assets.contract.errors import HyopsError, Refused

VERBOSE_ENV = "HYOPS_VERBOSE"
"""Set by `-v`: a shell prints a line for each stage of a step, for logs that are read later."""


class BadUsage(Refused):
    """The command line itself cannot be followed. Exit status 2."""


class NotStarted(HyopsError):
    """What kept a module's run from starting: nothing was changed, there is no run record. Printed after `ERR:`."""


@contextmanager
def before_the_run() -> Iterator[None]:
    """Tell errors that come before the run from those of the run.

    Raises:
        NotStarted: in place of any other error of ours.
    """
    try:
        yield
    except (BadUsage, NotStarted):
        raise
    except HyopsError as error:
        raise NotStarted(error.message, hint=error.hint) from error
