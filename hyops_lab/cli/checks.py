"""What `hyops doctor` looks at for the lab."""

from hyops_assets.cli.check import Check
from hyops_lab.hetzner.confinement import CellFailed, require_confinement


def user_namespaces() -> Check:
    """Return whether bubblewrap can confine a program, as it does for the rescue shells of the lab."""
    name = "user namespaces"
    try:
        require_confinement()
    except CellFailed as error:
        return Check.of(name, error)
    return Check(name, "ok", "bubblewrap confines a program")
