"""Questions about the running guest: cloud-init, its helper, the guest agent, and growing to the disk."""

from collections.abc import Callable

from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.inspection.view import Fault, View
from hyops_assets.image.overlay.overlay import GROW_PROGRAM, GROW_UNIT, HELPER

DATASOURCES = ("NoCloud", "ConfigDrive", "Hetzner", "None")
"""Where a guest looks for its data, in order; `None` last, so that a boot without any never waits."""

_CLOUD_CONFIG = "/etc/cloud/cloud.cfg.d"
_CLOUD_UNITS = ("cloud-init-local.service", "cloud-init.service", "cloud-config.service", "cloud-final.service")
_UNITS = "/etc/systemd/system"
_UNIT_DIRECTORIES = (_UNITS, "/usr/lib/systemd/system")
_AGENT, _AGENT_UNIT = "/usr/sbin/qemu-ga", "qemu-guest-agent.service"
_UDEV_RULES = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d")


def datasources_are_the_expected(view: View) -> str:
    """cloud-init looks for its data where both clouds give it, and nowhere else; the last word is on one line."""
    settings = [
        line.removeprefix("datasource_list:").strip()
        for path in ("/etc/cloud/cloud.cfg", *view.guest.files_below(_CLOUD_CONFIG))
        if path.endswith(".cfg")
        for line in (view.guest.find(path) or b"").decode(errors="replace").splitlines()
        if line.startswith("datasource_list:")
    ]
    found = tuple(name.strip() for name in settings[-1].strip("[] ").split(",")) if settings else ()
    if found != DATASOURCES:
        raise Fault(f"datasource_list is {list(found)}, expected {list(DATASOURCES)}")
    return ", ".join(found)


def cloud_init_is_enabled(view: View) -> str:
    """Systemd starts all stages of cloud-init, and nothing on the disk switches it off."""
    missing = [unit for unit in _CLOUD_UNITS if not _is_enabled(view, unit)]
    if missing:
        raise Fault(f"not enabled: {', '.join(missing)}")
    if view.guest.resolve("/etc/cloud/cloud-init.disabled") is not None:
        raise Fault("/etc/cloud/cloud-init.disabled switches cloud-init off")
    return ", ".join(_CLOUD_UNITS)


def helper_is_the_canonical_one(view: View) -> str:
    """cloud-init's vyos module is the canonical cc_vyos.py, byte for byte."""
    found = sha256_of_bytes(view.guest.read(HELPER))
    if found != view.expected.helper_sha256:
        raise Fault(f"sha256 {found}, expected {view.expected.helper_sha256}")
    return f"sha256 {found}"


def guest_agent_is_enabled(view: View) -> str:
    """The QEMU guest agent is there, and systemd or udev starts it."""
    if view.guest.resolve(_AGENT) is None or not _unit_exists(view, _AGENT_UNIT):
        raise Fault(f"{_AGENT} or {_AGENT_UNIT} is missing")
    if _is_enabled(view, _AGENT_UNIT):
        return f"{_AGENT_UNIT}, by systemd"
    for directory in _UDEV_RULES:
        for path in view.guest.files_below(directory):
            if _AGENT_UNIT.encode() in (view.guest.find(path) or b""):
                return f"{_AGENT_UNIT}, by {path}"
    raise Fault(f"nothing starts {_AGENT_UNIT}")


def grows_to_its_disk(view: View) -> str:
    """The first boot grows the `persistence` file system to the disk that it finds."""
    if not _is_enabled(view, GROW_UNIT) or not view.guest.read(GROW_PROGRAM):
        raise Fault(f"{GROW_UNIT} is not enabled")
    entry = view.guest.upper.get(GROW_PROGRAM)
    if entry is None or not entry.mode & 0o100:
        raise Fault(f"{GROW_PROGRAM} is not executable")
    return GROW_UNIT


CHECKS: dict[str, Callable[[View], str]] = {
    check.__name__: check
    for check in (
        datasources_are_the_expected,
        cloud_init_is_enabled,
        helper_is_the_canonical_one,
        guest_agent_is_enabled,
        grows_to_its_disk,
    )
}


def _is_enabled(view: View, unit: str) -> bool:
    """Tell whether a target of systemd wants a unit whose file exists, and nothing masks it."""
    links = [path for path in view.guest.files_below(_UNITS) if path.endswith(f".wants/{unit}")]
    return bool(links) and _unit_exists(view, unit)


def _unit_exists(view: View, unit: str) -> bool:
    """Tell whether a unit's file exists; one that is linked to /dev/null, or empty, is masked."""
    for directory in _UNIT_DIRECTORIES:
        path = f"{directory}/{unit}"
        if path in view.guest.paths or view.guest.resolve(path) is not None:
            return bool(view.guest.find(path))
    return False
