"""Cloud-init texts of a VyOS edge, looked at before a machine is made from them.

What belongs here: the rules that a text can break on its own. What a guest makes of it is the helper's
(`tools/build/vyos/assets/cc_vyos.py`). Texts are parsed, not searched: a word in a comment configures nothing.
"""

import re
from collections.abc import Mapping
from typing import Any

_STATIC_ADDRESS = re.compile(
    r"\s*set\s+interfaces\s+ethernet\s+(?P<nic>eth\d+)\s+address\s+['\"]?(?P<address>[^\s'\"]+)"
)
_MARK = "#cloud-config"


def require_user_data(text: str) -> tuple[str, ...]:
    """Return the VyOS commands of a user-data text; empty where it configures by `runcmd` only.

    Raises:
        ValueError: it is no cloud-config, or has neither `vyos_config_commands` nor `runcmd`.
    """
    if not text.startswith(_MARK):
        message = f"cloud_init_user_data begins with {_MARK}, or cloud-init ignores it"
        raise ValueError(message)
    content = _mapping(text, "cloud_init_user_data")
    commands, run = content.get("vyos_config_commands"), content.get("runcmd")
    if not commands and not run:
        raise ValueError("cloud_init_user_data needs vyos_config_commands or runcmd")
    for name, value in (("vyos_config_commands", commands), ("runcmd", run)):
        if value is not None and not isinstance(value, list):
            message = f"{name} is a list, one command per entry"
            raise ValueError(message)
    return tuple(command for command in commands or () if isinstance(command, str))


def require_meta_data(text: str) -> None:
    """Accept a meta-data text that names the instance and the host.

    Raises:
        ValueError: `instance-id` or `local-hostname` is missing.
    """
    content = _mapping(text, "cloud_init_meta_data")
    missing = [name for name in ("instance-id", "local-hostname") if not content.get(name)]
    if missing:
        message = f"cloud_init_meta_data lacks {' and '.join(missing)}"
        raise ValueError(message)


def require_network_data(text: str) -> None:
    """Accept a network-data text of version 1, the one that the helper reads.

    Raises:
        ValueError: another version, or no `config` list.
    """
    content = _mapping(text, "cloud_init_network_data")
    inner = content.get("network")
    if isinstance(inner, Mapping):
        content = inner
    if content.get("version") != 1 or not isinstance(content.get("config"), list):
        raise ValueError("cloud_init_network_data is of version 1, with a list under config")


def static_interfaces(commands: tuple[str, ...]) -> dict[str, str]:
    """Return the interfaces that VyOS commands give a static address, with the last one given."""
    found = (_STATIC_ADDRESS.match(command) for command in commands)
    return {match["nic"]: match["address"] for match in found if match and match["address"] not in {"dhcp", "dhcpv6"}}


def _mapping(text: str, name: str) -> Mapping[str, Any]:
    # Loaded here: the contract's models load in milliseconds, and few of them ever see such a text.
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        message = f"{name} is no YAML: {str(error).splitlines()[0]}"
        raise ValueError(message) from error
    if not isinstance(content, dict):
        message = f"{name} holds key: value lines"
        raise ValueError(message)
    return content
