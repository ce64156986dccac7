"""What more than one command looks at of this host: its programs, and what guests run with."""

from hyops_assets.cli.check import Check
from hyops_assets.image.programs import MissingProgram, find_program


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
