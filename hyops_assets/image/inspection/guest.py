"""Questions about the running guest: cloud-init, its helper, the guest agent, and growing to the disk."""

import re
from collections.abc import Callable

from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.inspection.boot import menu_entries
from hyops_assets.image.inspection.router_paths import starting_configurations
from hyops_assets.image.inspection.view import Fault, NotCompared, View
from hyops_assets.image.overlay.overlay import GROW_PROGRAM, GROW_UNIT, HELPER
from hyops_assets.image.vyos_config import read_configuration

DATASOURCES = ("NoCloud", "ConfigDrive", "Hetzner", "None")
"""Where a guest looks for its data, in order; `None` last, so that a boot without any never waits."""

_GENERATOR, _CLOUD_TARGET = "/usr/lib/systemd/system-generators/cloud-init-generator", "cloud-init.target"
_IDENTIFY, _DISABLED_POLICY = "/etc/cloud/ds-identify.cfg", re.compile(r"^\s*policy:\s*disabled", re.MULTILINE)
_KERNEL_SWITCH = re.compile(r"\s((?:cloud-init=disabled|network-config=|ds=|cc:)\S*)")
_DHCP_CLIENTS = ("/usr/sbin/dhclient", "/sbin/dhclient")
_CLOUD_UNITS = ("cloud-init-local.service", "cloud-config.service", "cloud-final.service")
# The stage with the network: up to 24.3, and since then, when one process runs the stages.
_NETWORK_UNITS = ("cloud-init.service",), ("cloud-init-main.service", "cloud-init-network.service")
_UNITS = "/etc/systemd/system"
_UNIT_DIRECTORIES = (_UNITS, "/usr/lib/systemd/system")
_NODE_DEFS = "/opt/vyatta/share/vyatta-cfg/templates"
_REFERENCE = "/usr/lib/python3/dist-packages/vyos/xml_ref"
_AGENT, _AGENT_UNIT = "/usr/sbin/qemu-ga", "qemu-guest-agent.service"
_UDEV_RULES = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d")


def configuration_parses(view: View) -> str:
    """There is a configuration to start from, and each one reads as VyOS reads it."""
    found = starting_configurations(view.guest)
    if not found:
        raise Fault("there is neither a config.boot nor a config.boot.default: VyOS has nothing to start from")
    for path in found:
        config = read_configuration(view.guest.read(path).decode(errors="replace"))
        if config.mistakes or not config.statements:
            raise Fault(f"{path}: {'; '.join(config.mistakes[:3]) or 'it says nothing'}")
    return ", ".join(found)


def datasources_are_the_expected(view: View) -> str:
    """cloud-init looks for its data where both clouds give it, and nowhere else; the last word is on one line."""
    said = view.cloud_config.at("datasource_list")
    joined = [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
    # ds-identify, which decides whether cloud-init runs at all, is a shell script that reads single lines.
    lines = [
        line.removeprefix("datasource_list:").strip("[] ")
        for path in view.cloud_config.files
        for line in view.guest.text(path).splitlines()
        if line.startswith("datasource_list:")
    ]
    found = [name.strip() for name in lines[-1].split(",")] if lines else []
    if found != list(DATASOURCES) or joined != list(DATASOURCES):
        raise Fault(f"datasource_list is {joined}, on a line of its own {found}, expected {list(DATASOURCES)}")
    return ", ".join(found)


def cloud_init_is_enabled(view: View) -> str:
    """Systemd starts all stages of cloud-init, and nothing on the disk switches it off."""
    of_network = next((units for units in _NETWORK_UNITS if _unit_exists(view, units[-1])), _NETWORK_UNITS[0])
    units = (*_CLOUD_UNITS, *of_network)
    missing = [unit for unit in units if not _is_enabled(view, unit)]
    if missing:
        raise Fault(f"not enabled: {', '.join(missing)}")
    if view.guest.resolve(_GENERATOR) is None and not _is_enabled(view, _CLOUD_TARGET):
        raise Fault(f"nothing starts {_CLOUD_TARGET}: {_GENERATOR} is missing")
    if view.guest.resolve("/etc/cloud/cloud-init.disabled") is not None:
        raise Fault("/etc/cloud/cloud-init.disabled switches cloud-init off")
    if _DISABLED_POLICY.search(view.guest.text(_IDENTIFY)):
        raise Fault(f"{_IDENTIFY} switches cloud-init off")
    switches = _KERNEL_SWITCH.findall(menu_entries(view))
    if switches:
        raise Fault(f"the boot menu tells cloud-init {', '.join(switches)}")
    return ", ".join(units)


def finds_a_dhcp_client(view: View) -> str:
    """The image has dhclient: cloud-init asks Hetzner's metadata service with an address that it leases itself."""
    for path in _DHCP_CLIENTS:
        if view.guest.find(path) and view.guest.mode(path) & 0o100:
            return path
    raise Fault(f"none of {', '.join(_DHCP_CLIENTS)} is a program")


def helper_is_the_canonical_one(view: View) -> str:
    """cloud-init's vyos module is the canonical cc_vyos.py, byte for byte."""
    found = sha256_of_bytes(view.guest.read(HELPER))
    if view.expected.helper_sha256 is None:
        raise NotCompared(f"the helper (sha256 {found})")
    if found != view.expected.helper_sha256:
        raise Fault(f"sha256 {found}, expected {view.expected.helper_sha256}")
    return f"sha256 {found}"


def commands_can_be_checked(view: View) -> str:
    """VyOS' schema is in the image, as node.def files or as vyos.xml_ref: without one, each command is refused."""
    if any(path.endswith("/node.def") for path in view.guest.files_below(_NODE_DEFS)):
        return f"by {_NODE_DEFS}"
    reference = view.guest.files_below(_REFERENCE)
    if f"{_REFERENCE}/__init__.py" in reference and any("cache" in path for path in reference):
        return f"by {_REFERENCE}"
    raise Fault(
        f"neither {_NODE_DEFS} nor {_REFERENCE} holds VyOS' schema: this release keeps it elsewhere, and the helper "
        "would refuse every line of vyos_config_commands"
    )


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
    if not view.guest.mode(GROW_PROGRAM) & 0o100:
        raise Fault(f"{GROW_PROGRAM} is not executable")
    return GROW_UNIT


CHECKS: dict[str, Callable[[View], str]] = {
    check.__name__: check
    for check in (
        configuration_parses,
        datasources_are_the_expected,
        cloud_init_is_enabled,
        finds_a_dhcp_client,
        helper_is_the_canonical_one,
        commands_can_be_checked,
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
