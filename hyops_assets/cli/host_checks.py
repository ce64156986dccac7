"""What more than one command looks at of this host: its programs, and what guests run with."""

from hyops_assets.cli.check import Check
from hyops_assets.image.programs import OPTIONAL, MissingProgram, find_program

_OF_THE_LAB = frozenset({"bwrap", "busybox", "gpg", "gpgconf", "minisign", "mmdebstrap", "openssl"})
"""Programs that the lab and its tests alone run."""


def only_for(program: str, *, lab: bool) -> str:
    """Return what alone needs a program that an environment does without; empty where every build needs it.

    Args:
        program: its name.
        lab: whether the settings are a lab's, which then needs its programs.
    """
    if program in OPTIONAL:
        return f"build.method {OPTIONAL[program]}"
    return "the lab" if program in _OF_THE_LAB and not lab else ""


def program_check(name: str) -> Check:
    """Return whether a program is installed, and how to get it where it is not."""
    try:
        return Check(f"cmd:{name}", "ok", find_program(name))
    except MissingProgram as error:
        return Check.of(f"cmd:{name}", error, "missing")


def accelerator_check() -> Check:
    """Return what guests would run with on this host, found by running one; emulation is enough for the gates."""
    from hyops_assets.image.boot.accelerator import probe

    try:
        return Check("accelerator", "ok", probe().outlook)
    except MissingProgram as error:
        return Check.of("accelerator", error, "missing")
