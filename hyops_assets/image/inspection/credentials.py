"""Questions about what an image must not carry: logins, keys, identities of one machine, leftovers of a build."""

from collections.abc import Callable, Iterable

from hyops_assets.image.credentials import (
    CONFIG_DIRECTORY,
    DEFAULT_CONFIGS,
    has_hardware_id,
    logins_in_config,
    logins_in_shadow,
)
from hyops_assets.image.inspection.view import Fault, View

_CONFIGS = (f"{CONFIG_DIRECTORY}/config.boot", *DEFAULT_CONFIGS)
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_NO_MACHINE_ID = (b"", b"uninitialized")
_CLOUD_STATE = ("/var/lib/cloud", f"{CONFIG_DIRECTORY}/cloud")
_NET_RULES = "/etc/udev/rules.d/70-persistent-net.rules"
_APT_LEFTOVERS = ("/var/cache/apt/", "/var/lib/apt/lists/")


def no_default_credentials(view: View) -> str:
    """No configuration and no account of the image lets anyone in with a password or a key."""
    found = []
    for path in _CONFIGS:
        config = (view.guest.find(path) or b"").decode(errors="replace")
        found += [f"{path}: {login}" for login in logins_in_config(config)]
    for path in ("/etc/shadow", "/etc/passwd"):
        users = (view.guest.find(path) or b"").decode(errors="replace")
        found += [f"{path}: user {user}" for user in logins_in_shadow(users, shadowed=path == "/etc/passwd")]
    if not any(view.guest.resolve(path) for path in _CONFIGS):
        raise Fault(f"none of {', '.join(_CONFIGS)} exists: whether anyone is let in cannot be told")
    if found:
        raise Fault("; ".join(found))
    return "no usable password"


def no_authorized_keys(view: View) -> str:
    """No account of the image accepts an SSH key."""
    return _none(
        path
        for path in view.guest.paths
        if path.rsplit("/", 1)[-1] in ("authorized_keys", "authorized_keys2") and view.guest.find(path)
    )


def no_host_keys(view: View) -> str:
    """The image carries no SSH host key: all machines made of it would share it."""
    return _none(path for path in view.guest.paths if path.rsplit("/", 1)[-1].startswith("ssh_host_"))


def no_machine_id(view: View) -> str:
    """The image carries no machine-id: every machine made of it gets one of its own."""
    return _none(path for path in _MACHINE_IDS if (view.guest.find(path) or b"").strip() not in _NO_MACHINE_ID)


def no_hardware_id(view: View) -> str:
    """No configuration binds an interface to one machine's hardware address."""
    bound = [path for path in _CONFIGS if has_hardware_id((view.guest.find(path) or b"").decode(errors="replace"))]
    return _none([*bound, *([_NET_RULES] if view.guest.find(_NET_RULES) else [])])


def no_cloud_instance_state(view: View) -> str:
    """cloud-init has not run in the image: each machine's first boot is one."""
    return _none(path for directory in _CLOUD_STATE for path in view.guest.files_below(directory))


def no_build_leftovers(view: View) -> str:
    """The overlay carries no name server, package list or package file of the machine that built it."""
    return _none(
        path
        for path, entry in view.guest.upper.items()
        if entry.kind == "file" and (path == "/etc/resolv.conf" or path.startswith(_APT_LEFTOVERS))
    )


CHECKS: dict[str, Callable[[View], str]] = {
    check.__name__: check
    for check in (
        no_default_credentials,
        no_authorized_keys,
        no_host_keys,
        no_machine_id,
        no_hardware_id,
        no_cloud_instance_state,
        no_build_leftovers,
    )
}


def _none(found: Iterable[str]) -> str:
    paths = sorted(found)
    if paths:
        raise Fault(", ".join(paths[:10]) + (f" and {len(paths) - 10} more" if len(paths) > 10 else ""))
    return "none"
