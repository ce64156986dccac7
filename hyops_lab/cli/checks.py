"""What `hyops doctor` looks at for the lab."""

from hyops_assets.cli.doctor_check import HostCheck
from hyops_lab.hetzner.confinement import CellFailed, require_confinement


def user_namespaces() -> HostCheck:
    """Return whether bubblewrap can confine a program, as it does for the rescue shells of the lab."""
    name = "user namespaces"
    try:
        require_confinement()
    except CellFailed as error:
        return HostCheck(name, ok=False, found=error.message, hint=error.hint)
    return HostCheck(name, ok=True, found="bubblewrap confines a program")
