"""cloud-init module `vyos`: writes a guest's VyOS configuration from its metadata and user-data.

The one canonical copy: its digest is part of every record. It runs once per instance, in cloud-init's config
stage, before VyOS reads config.boot; it imports neither cloud-init nor VyOS until it runs. Keys it reads:

    hostname, fqdn, ssh_authorized_keys, user, password, chpasswd, users, ssh_pwauth   as cloud-init defines them
    vyos_config_commands   list of `set …` and `delete …` lines, applied last
    vyos_config_options    {network_config: enabled | disabled}

It never makes a password up: without a key and without a password nobody can log in, SSH stays off, and the log
says so. The login that every VyOS ISO carries (vyos/vyos) is disarmed always. What cannot be applied is logged and
raised at the end, after everything else was written.
"""

import base64
import binascii
import ctypes
import ipaddress
import logging
import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

frequency = "once-per-instance"
distros = ["all"]
meta = {
    "id": "cc_vyos",
    "name": "VyOS",
    "title": "Write the VyOS configuration from metadata and user-data",
    "description": "Applies keys, logins, host name, network and vyos_config_commands to config.boot.",
    "distros": distros,
    "frequency": frequency,
    "examples": ["vyos_config_commands:\n  - set system time-zone 'Europe/Berlin'\n"],
}

CONFIG = Path("/opt/vyatta/etc/config/config.boot")
DEFAULT_CONFIGS = (Path("/usr/share/vyos/config.boot.default"), Path("/opt/vyatta/etc/config.boot.default"))
TEMPLATES = Path("/opt/vyatta/share/vyatta-cfg/templates")
MIGRATION = Path("/usr/libexec/vyos/run-config-migration.py")
INTERFACES = Path("/sys/class/net")

USER = ["system", "login", "user"]
ROUTES = {4: ["protocols", "static", "route"], 6: ["protocols", "static", "route6"]}
DEFAULT_ROUTE = {4: "0.0.0.0/0", 6: "::/0"}
NO_PASSWORD = "*"  # noqa: S105 - what no password matches
DEFAULT_PASSWORD = "vyos"  # noqa: S105 - what every VyOS ISO lets in with
_UNUSABLE = ("", "*", "!", "!!", "!*")
_HASH = re.compile(r"\$[0-9a-z]{1,2}\$.+")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_ETHERNET = re.compile(r"eth\d+")
_WORD = re.compile(r"""\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<bare>[^\s'"]+))(?=\s|$)""")
_KEY = re.compile(r"(?:^|.*\s)(?P<type>(?:ssh-|ecdsa-|sk-)\S+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s+(?P<comment>.*))?$")
_DEFINED = re.compile(r"^(tag|multi|type):", re.MULTILINE)

# VyOS' own schema decides where it is found; these are the nodes that metadata sets, wherever VyOS keeps it.
_TAGS = (
    "interfaces ethernet",
    "interfaces ethernet * vif",
    "protocols static route",
    "protocols static route * interface",
    "protocols static route * next-hop",
    "protocols static route6",
    "protocols static route6 * interface",
    "protocols static route6 * next-hop",
    "system login user",
    "system login user * authentication public-keys",
)
_MULTI = (
    "interfaces ethernet * address",
    "interfaces ethernet * vif * address",
    "service ssh port",
    "system domain-search",
    "system name-server",
)


Step = Callable[[Any, dict[str, Any], Any], list[str]]


class CannotApply(Exception):
    """Part of a guest's metadata or user-data cannot be applied. Says which, never with its secrets."""


class Schema:
    """What kind a configuration node is: `tag`, `multi`, `leaf`, `valueless` or `group`; None where unknown.

    Args:
        templates: VyOS' tree of node.def files; where it does not exist, only the nodes of metadata are known.
    """

    def __init__(self, templates: Path = TEMPLATES) -> None:
        self.templates = templates
        self.complete = templates.is_dir()

    def kind(self, path: list[str]) -> str | None:
        """Return the kind of the node at a path; names of tag nodes stand in it as they are."""
        if not self.complete:
            return self._builtin(path)
        place, inside_tag = self.templates, False
        for word in path:
            place = place / ("node.tag" if inside_tag else word)
            found = self._defined(place)
            if found is None and not inside_tag:
                return None
            inside_tag = found == "tag" and not inside_tag
        return self._defined(place) or "group"

    def _builtin(self, path: list[str]) -> str | None:
        for kind, known in (("tag", _TAGS), ("multi", _MULTI)):
            for words in (entry.split() for entry in known):
                if len(words) == len(path) and all(a in ("*", b) for a, b in zip(words, path, strict=True)):
                    return kind
        return None

    def _defined(self, place: Path) -> str | None:
        try:
            text = (place / "node.def").read_text()
        except OSError:
            return "group" if place.is_dir() else None
        marks = _DEFINED.findall(text)
        if not marks:
            return "group" if any(child.is_dir() for child in place.iterdir()) else "valueless"
        return next((mark for mark in ("tag", "multi") if mark in marks), "leaf")


def handle(name: str, cfg: dict[str, Any], cloud: Any, log: logging.Logger, args: list[Any]) -> None:
    """Write the guest's configuration; cloud-init calls this.

    Raises:
        CannotApply: something was wrong; the rest was written.
    """
    problems = apply_vyos_config_boot(cfg, cloud, log)
    for problem in problems:
        log.error("%s: %s", name, problem)
    if problems:
        raise CannotApply("; ".join(problems))


def apply_vyos_config_boot(
    cfg: dict[str, Any], cloud: Any, log: logging.Logger, schema: Schema | None = None
) -> list[str]:
    """Apply everything to config.boot, and return what could not be applied.

    Args:
        cfg: cloud-init's merged configuration.
        cloud: cloud-init's view of the instance.
        log: receives what an operator should know.
        schema: VyOS' schema, by default the guest's own.
    """
    from vyos.configtree import ConfigTree  # pyright: ignore  # noqa: PGH003 - only a VyOS guest has it

    schema = schema or Schema()
    problems: list[str] = []
    text, is_default = starting_config(log)
    config = ConfigTree(text)
    disarm_default_logins(config, everyone=is_default)
    for step in (apply_host_name, apply_logins, apply_network):
        problems += attempt(step, config, cfg, cloud)
    try:
        commands = normalize_vyos_config_commands(cfg.get('vyos_config_commands'))  # fmt: skip
    except CannotApply as error:
        commands = []
        problems.append(str(error))
    problems += apply_vyos_commands(config, commands, schema)
    if not usable_logins(config):
        log.error("no key and no password was given: nobody can log in, and SSH is not enabled for anyone")
    write_config(config.to_string())
    return problems


def attempt(step: Step, config: Any, cfg: dict[str, Any], cloud: Any) -> list[str]:
    """Run a step over someone else's data: its mistakes must not keep the rest from the guest."""
    try:
        return step(config, cfg, cloud)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The message of a ValueError may quote a password; its type and the step must do.
        return [f"{step.__name__}: the data has an unexpected shape ({type(error).__name__})"]


def starting_config(log: logging.Logger) -> tuple[str, bool]:
    """Return the configuration to start from, migrated to this release, and whether it is the ISO's default."""
    source = next((path for path in (CONFIG, *DEFAULT_CONFIGS) if path.is_file()), None)
    if source is None:
        log.error("neither %s nor a default configuration exists: starting from an empty one", CONFIG)
        return "", True
    if not MIGRATION.is_file():
        return source.read_text(), source != CONFIG
    with tempfile.TemporaryDirectory(dir=CONFIG.parent, prefix=".migrate.") as directory:
        copy = Path(directory) / "config.boot"
        copy.write_text(source.read_text())
        done = subprocess.run([str(MIGRATION), str(copy)], capture_output=True, check=False, timeout=300)
        if done.returncode != 0:
            log.error("%s failed (%s): %s", MIGRATION, done.returncode, done.stderr.decode(errors="replace")[-500:])
        return copy.read_text(), source != CONFIG


def write_config(text: str) -> None:
    """Put a configuration in place, whole or not at all; readable for the directory's group only."""
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    partial = CONFIG.with_name(f".{CONFIG.name}.partial")
    with partial.open("w") as file:
        os.fchmod(file.fileno(), 0o660)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(CONFIG)


# --- logins ---------------------------------------------------------------------------------------------------


def disarm_default_logins(config: Any, *, everyone: bool) -> None:
    """Take away every password that the ISO brought.

    Args:
        config: the configuration tree.
        everyone: the tree is the ISO's default itself, so that none of its passwords is the owner's.
    """
    for user in children(config, USER):
        where = [*USER, user, "authentication"]
        for password in values(config, [*where, "encrypted-password"]):
            if everyone or is_password(password, DEFAULT_PASSWORD):
                config.set([*where, "encrypted-password"], value=NO_PASSWORD)
        for password in values(config, [*where, "plaintext-password"]):
            if everyone or password == DEFAULT_PASSWORD:
                config.delete([*where, "plaintext-password"])


def apply_logins(config: Any, cfg: dict[str, Any], cloud: Any) -> list[str]:
    """Set users, keys and passwords from metadata and user-data, and SSH where someone can log in."""
    problems: list[str] = []
    default = default_user(cfg)
    keys: dict[str, list[str]] = {
        default: [*(cloud.get_public_ssh_keys() or []), *listed(cfg.get("ssh_authorized_keys"))]
    }
    passwords: dict[str, str] = {}
    if cfg.get("password"):
        passwords[default] = str(cfg["password"])
    for user in listed(cfg.get("users")):
        if isinstance(user, dict) and user.get("name"):
            name = str(user["name"])
            keys.setdefault(name, []).extend(listed(user.get("ssh_authorized_keys")))
            password = user.get("hashed_passwd") or user.get("passwd") or user.get("plain_text_passwd")
            if password and user.get("lock_passwd") is not True:
                passwords[name] = str(password)
        elif user != "default":
            problems.append("users: an entry is neither `default` nor has a name")
    passwords |= chpasswd_of(cfg.get("chpasswd"), problems)
    for name, given in keys.items():
        problems += set_keys(config, name, given)
    for name, password in passwords.items():
        problems += set_password(config, name, password)
    if any(keys.values()) or passwords:
        enable_ssh(config, by_password=bool(cfg.get("ssh_pwauth", bool(passwords)) is True))
    return problems


def default_user(cfg: dict[str, Any]) -> str:
    """Return the name of the user who gets the instance's keys and password: `user`, else the image's, else vyos."""
    for given in (cfg.get("user"), (cfg.get("system_info") or {}).get("default_user")):
        name = given.get("name") if isinstance(given, dict) else given
        if name:
            return str(name)
    return "vyos"


def chpasswd_of(given: Any, problems: list[str]) -> dict[str, str]:
    """Return passwords by user from cloud-init's `chpasswd` (list of `user:password`, or `users`)."""
    if not isinstance(given, dict):
        return {}
    lines = given.get("list") or []
    found = dict(
        line.split(":", 1) for line in (lines.splitlines() if isinstance(lines, str) else lines) if ":" in line
    )
    for user in listed(given.get("users")):
        if user.get("password"):
            found[str(user["name"])] = str(user["password"])
        else:
            problems.append(f"chpasswd: no password is given for {user.get('name')}, and none is made up")
    for name in [name for name, password in found.items() if password in ("R", "RANDOM")]:
        del found[name]
        problems.append(f"chpasswd: a random password for {name} would be known to nobody; give a hash or a key")
    return found


def set_keys(config: Any, user: str, given: Iterable[str]) -> list[str]:
    """Give a user SSH keys, lines as in authorized_keys; return what is no key."""
    problems = []
    for number, line in enumerate(dict.fromkeys(str(line).strip() for line in given), start=1):
        match = _KEY.match(line)
        if match is None or not is_base64(match["key"]):
            problems.append(f"ssh key {number} of {user} is not a public key")
            continue
        comment = re.sub(r"[^A-Za-z0-9_.@-]", "-", (match["comment"] or "").strip())
        named = [*USER, user, "authentication", "public-keys", comment or f"cloud-init-{number}"]
        if config.exists(named):
            named[-1] = f"{named[-1]}-{number}"
        config.set([*named, "key"], value=match["key"])
        config.set([*named, "type"], value=match["type"])
        mark_tags(config, named)
    return problems


def set_password(config: Any, user: str, password: str) -> list[str]:
    """Give a user a password: a hash as it is, a plain one hashed, so that it never stands on the disk."""
    hashed = password if _HASH.fullmatch(password) else hashed_with(password, f"$6${secrets.token_hex(8)}$")
    if hashed is None:
        return [f"the password of {user} cannot be hashed here; give a hash"]
    path = [*USER, user, "authentication", "encrypted-password"]
    config.set(path, value=hashed)
    mark_tags(config, path)
    return []


def enable_ssh(config: Any, *, by_password: bool) -> None:
    """Run SSH on port 22; logins by password only where wanted."""
    config.set(["service", "ssh", "port"], value="22")
    if not by_password:
        config.set(["service", "ssh", "disable-password-authentication"])


def usable_logins(config: Any) -> list[str]:
    """Return the users who can log in: with a key, or a password that some text matches."""
    found = []
    for user in children(config, USER):
        where = [*USER, user, "authentication"]
        passwords = values(config, [*where, "encrypted-password"]) + values(config, [*where, "plaintext-password"])
        if children(config, [*where, "public-keys"]) or any(word not in _UNUSABLE for word in passwords):
            found.append(user)
    return found


def is_password(hashed: str, password: str) -> bool:
    """Tell whether a crypt(3) hash is that of a password."""
    return bool(_HASH.fullmatch(hashed)) and hashed_with(password, hashed) == hashed


def hashed_with(password: str, setting: str) -> str | None:
    """Return the crypt(3) hash of a password, None where the C library offers none."""
    try:
        library = ctypes.CDLL("libcrypt.so.1")
    except OSError:
        return None
    library.crypt.restype = ctypes.c_char_p
    answer = library.crypt(password.encode(), setting.encode())
    return answer.decode() if answer and not answer.startswith(b"*") else None


def is_base64(text: str) -> bool:
    """Tell whether a text is base64 of something."""
    try:
        return len(base64.b64decode(text, validate=True)) > 16
    except binascii.Error:
        return False


# --- host name and network ------------------------------------------------------------------------------------


def apply_host_name(config: Any, cfg: dict[str, Any], cloud: Any) -> list[str]:
    """Set host name and domain from user-data, else from metadata."""
    given = cfg.get("fqdn") or cfg.get("hostname") or cloud.get_hostname(fqdn=True, metadata_only=True)
    # Newer cloud-init answers with a tuple (name, whether it is a default).
    full = given[0] if isinstance(given, tuple) else given
    if not full:
        return []
    host, _, domain = str(full).rstrip(".").partition(".")
    labels = [host, *domain.split(".")] if domain else [host]
    if not all(_HOST.fullmatch(label) for label in labels):
        return [f"host name {full!r} is not one"]
    config.set(["system", "host-name"], value=host)
    if domain:
        config.set(["system", "domain-name"], value=domain)
    return []


def apply_network(config: Any, cfg: dict[str, Any], cloud: Any) -> list[str]:
    """Set interfaces, routes and name servers from the datasource's network configuration, version 1 or 2.

    Without one, eth0 asks by DHCP. `vyos_config_options: {network_config: …}` decides over `network: {config: …}`.
    """
    wanted = (cfg.get("vyos_config_options") or {}).get("network_config") or (cfg.get("network") or {}).get("config")
    if wanted == "disabled":
        return []
    given = getattr(cloud.datasource, "network_config", None)
    if given is None:
        given = {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}
    if given.get("config") == "disabled":
        return []
    network = Network(config)
    if given.get("version") == 1:
        network.version_1(given.get("config") or [])
    elif given.get("version") == 2:
        network.version_2(given)
    else:
        network.problems.append(f"network: version {given.get('version')} is neither 1 nor 2")
    return network.problems


class Network:
    """Writes a cloud-init network configuration into a tree (cloudinit.readthedocs.io, network-config)."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.problems: list[str] = []

    def version_1(self, entries: list[dict[str, Any]]) -> None:
        """Apply version 1: a list of devices, name servers and routes."""
        for entry in entries:
            kind = entry.get("type")
            if kind in ("physical", "vlan"):
                self._device_1(entry)
            elif kind == "nameserver":
                self._name_servers(listed(entry.get("address")), listed(entry.get("search")))
            elif kind == "route":
                self._route(destination_1(entry), entry.get("gateway"), None)
            elif kind != "loopback":
                self.problems.append(f"network: {kind} {entry.get('name', '')} is not supported")

    def version_2(self, given: dict[str, Any]) -> None:
        """Apply version 2: devices by identifier, as netplan has them."""
        for name, device in (given.get("ethernets") or {}).items():
            mac = (device.get("match") or {}).get("macaddress") or device.get("macaddress")
            path = self._ethernet(device.get("set-name") or name, mac)
            if path:
                self._device_2(path, device)
        for name, device in (given.get("vlans") or {}).items():
            parent = self._ethernet(device["link"], None)
            if parent:
                self._device_2([*parent, "vif", str(device["id"])], device)
            else:
                self.problems.append(f"network: vlan {name} has no Ethernet device below it")
        for kind in sorted(set(given) & {"bonds", "bridges", "wifis", "tunnels"}):
            self.problems.append(f"network: {kind} are not supported")

    def _device_1(self, entry: dict[str, Any]) -> None:
        vlan = entry["type"] == "vlan"
        path = self._ethernet(
            entry["vlan_link"] if vlan else entry["name"], None if vlan else entry.get("mac_address")
        )
        if path is None:
            return
        path = [*path, "vif", str(entry["vlan_id"])] if vlan else path
        self._mtu(path, entry)
        for subnet in entry.get("subnets") or []:
            self._subnet_1(path, subnet)

    def _subnet_1(self, path: list[str], subnet: dict[str, Any]) -> None:
        # Hetzner has sent static subnets without a type.
        kind = subnet.get("type") or ("static" if subnet.get("address") else "dhcp6" if subnet.get("ipv6") else "dhcp")
        if kind in ("dhcp", "dhcp4"):
            self._set([*path, "address"], "dhcp", multi=True)
        elif kind in ("dhcp6", "ipv6_dhcpv6-stateful"):
            self._set([*path, "address"], "dhcpv6", multi=True)
        elif kind in ("ipv6_slaac", "ipv6_dhcpv6-stateless"):
            self._set([*path, "ipv6", "address", "autoconf"])
        elif kind in ("static", "static6"):
            address = interface_address(subnet["address"], subnet.get("netmask") or subnet.get("prefix"))
            self._set([*path, "address"], str(address), multi=True)
            if subnet.get("gateway"):
                self._route(DEFAULT_ROUTE[version_of(subnet["gateway"])], subnet["gateway"], path, (address,))
        elif kind != "manual":
            self.problems.append(f"network: subnet type {kind} is not supported")
        for route in subnet.get("routes") or []:
            self._route(destination_1(route), route.get("gateway"), path)
        self._name_servers(listed(subnet.get("dns_nameservers")), listed(subnet.get("dns_search")))

    def _device_2(self, path: list[str], device: dict[str, Any]) -> None:
        self._mtu(path, device)
        for key, value in (("dhcp4", "dhcp"), ("dhcp6", "dhcpv6")):
            if device.get(key):
                self._set([*path, "address"], value, multi=True)
        if device.get("accept-ra"):
            self._set([*path, "ipv6", "address", "autoconf"])
        addresses = tuple(ipaddress.ip_interface(address) for address in device.get("addresses") or [])
        for address in addresses:
            self._set([*path, "address"], str(address), multi=True)
        for key in ("gateway4", "gateway6"):
            if device.get(key):
                self._route(DEFAULT_ROUTE[version_of(device[key])], device[key], path, addresses)
        for route in device.get("routes") or []:
            to = DEFAULT_ROUTE[version_of(route["via"])] if route["to"] == "default" else route["to"]
            self._route(to, route["via"], path, addresses)
        servers = device.get("nameservers") or {}
        self._name_servers(listed(servers.get("addresses")), listed(servers.get("search")))

    def _ethernet(self, name: str, mac: str | None) -> list[str] | None:
        """Return the path of an Ethernet device, by its hardware address where the guest has one with it."""
        found = next(
            (
                path.parent.name
                for path in INTERFACES.glob("eth*/address")
                if mac and path.read_text().strip() == mac.lower()
            ),
            name,
        )
        if not _ETHERNET.fullmatch(found):
            self.problems.append(f"network: no Ethernet device {name} ({mac or 'no hardware address given'})")
            return None
        path = ["interfaces", "ethernet", found]
        self._set(path)
        if mac:
            self._set([*path, "hw-id"], mac.lower())
        return path

    def _route(self, to: str, via: str | None, path: list[str] | None, addresses: tuple[Any, ...] = ()) -> None:
        """Add a route; `path` is the device it leaves by, `addresses` that device's own."""
        if via is None:
            self.problems.append(f"network: the route to {to} has no gateway")
            return
        gateway = ipaddress.ip_address(via)
        network = ipaddress.ip_network(to, strict=False)
        if gateway.version != network.version:
            self.problems.append(f"network: the gateway {gateway} cannot serve {network}")
            return
        hop = [*ROUTES[gateway.version], str(network), "next-hop", str(gateway)]
        self._set(hop)
        own = [address for address in addresses if address.version == gateway.version]
        if path and gateway.is_link_local and gateway.version == 6:
            self._set([*hop, "interface"], device_name(path))
        elif path and own and not any(gateway in address.network for address in own):
            # A gateway outside every network of the device is reached on the link itself.
            host = f"{gateway}/{gateway.max_prefixlen}"
            self._set([*ROUTES[gateway.version], host, "interface", device_name(path)])

    def _name_servers(self, servers: list[str], search: list[str]) -> None:
        for server in servers:
            self._set(["system", "name-server"], str(ipaddress.ip_address(server)), multi=True)
        for domain in search:
            self._set(["system", "domain-search"], domain, multi=True)

    def _mtu(self, path: list[str], device: dict[str, Any]) -> None:
        if device.get("mtu"):
            self._set([*path, "mtu"], str(int(device["mtu"])))

    def _set(self, path: list[str], value: str | None = None, *, multi: bool = False) -> None:
        set_node(self.config, path, value, multi=multi)
        mark_tags(self.config, path)


def device_name(path: list[str]) -> str:
    """Return the kernel's name of the device at a path: `eth0`, or `eth0.100` for a VLAN."""
    return ".".join(word for word in path[2:] if word != "vif")


def interface_address(address: str, mask: str | int | None) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """Return an address with its network; the mask counts only where the address carries no prefix."""
    return ipaddress.ip_interface(address if "/" in address or mask is None else f"{address}/{mask}")


def destination_1(route: dict[str, Any]) -> str:
    """Return the destination of a version 1 route as a prefix."""
    network = str(route.get("network") or route.get("destination"))
    mask = route.get("netmask") or route.get("prefix")
    return network if "/" in network or mask is None else f"{network}/{mask}"


def version_of(address: str) -> int:
    """Return 4 or 6."""
    return ipaddress.ip_address(address).version


# --- commands -------------------------------------------------------------------------------------------------


def normalize_vyos_config_commands(given: Any) -> list[str]:
    """Return the lines of `vyos_config_commands`: a list, or a text of lines; without blanks and comments.

    Raises:
        CannotApply: it is neither.
    """
    if given is None:
        return []
    lines = given.splitlines() if isinstance(given, str) else given
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise CannotApply("vyos_config_commands is neither a list of lines nor a text")
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def parse_commands(vyos_command: str) -> tuple[str, list[tuple[str, bool]]]:
    """Return a command's verb and its words, each with whether it stood in quotes.

    Raises:
        CannotApply: neither `set` nor `delete`, no words, or a quote that is never closed.
    """
    verb, _, rest = vyos_command.partition(" ")
    if verb not in ("set", "delete"):
        raise CannotApply(f"{verb!r} is neither set nor delete")
    words: list[tuple[str, bool]] = []
    position, rest = 0, rest.strip()
    while position < len(rest):
        match = _WORD.match(rest, position)
        if match is None:
            raise CannotApply("quotes do not match")
        words.append((match[match.lastgroup or 0], match.lastgroup != "bare"))
        position = match.end()
    if not words:
        raise CannotApply("it names no node")
    return verb, words


def apply_vyos_commands(config: Any, commands: list[str], schema: Schema) -> list[str]:
    """Apply `set` and `delete` lines in order; return what was wrong with which line, without its values."""
    problems = []
    for number, vyos_command in enumerate(commands, start=1):
        try:
            verb, words = parse_commands(vyos_command)
            path, given = split_value(words, schema)
            if verb == "set":
                for value in given or [None]:
                    set_node(config, path, value, multi=schema.kind(path) == "multi" or len(given) > 1)
                mark_tags(config, path, schema)
            else:
                delete_node(config, path, given)
        except CannotApply as error:
            problems.append(f"vyos_config_commands, line {number}: {error}")
    return problems


def split_value(words: list[tuple[str, bool]], schema: Schema) -> tuple[list[str], list[str]]:
    """Return path and values of a command. The schema knows where the path ends; without it, quotes do.

    Raises:
        CannotApply: VyOS has no such node, or it takes no value, or one value and more are given.
    """
    texts = [text for text, _ in words]
    if not schema.complete:
        end = len(words)
        while end > 1 and words[end - 1][1]:
            end -= 1
        return checked_path(texts[:end]), texts[end:]
    at_tag = False
    for depth in range(1, len(texts) + 1):
        kind = schema.kind(texts[:depth])
        if at_tag:
            # This word is a tag node's name, whatever it is.
            at_tag = False
            continue
        if kind is None:
            raise CannotApply(f"VyOS has no node {' '.join(texts[:depth])!r}")
        at_tag = kind == "tag"
        given = texts[depth:]
        if kind == "valueless" and given:
            raise CannotApply(f"{' '.join(texts[:depth])!r} takes no value")
        if kind in ("leaf", "multi", "valueless"):
            if kind == "leaf" and len(given) > 1:
                raise CannotApply(f"{' '.join(texts[:depth])!r} takes one value; put it in quotes")
            return checked_path(texts[:depth]), given
    return checked_path(texts), []


def checked_path(path: list[str]) -> list[str]:
    """Return a path unchanged.

    Raises:
        CannotApply: a word holds a character that would end it in config.boot.
    """
    for word in path:
        if not word or re.search(r"[\s{}\"';]", word):
            raise CannotApply(f"{word!r} cannot be a node's name")
    return path


def set_node(config: Any, path: list[str], value: str | None, *, multi: bool) -> None:
    """Set a node: values of a multi node add up, any other value replaces the former."""
    if value is None:
        config.set(path)
    else:
        config.set(path, value=value, replace=not multi)


def delete_node(config: Any, path: list[str], given: list[str]) -> None:
    """Delete a node, or only the given values of it.

    Raises:
        CannotApply: there is nothing of the kind, so that the line has a mistake in it.
    """
    if not config.exists(path):
        raise CannotApply(f"nothing to delete at {' '.join(path)!r}")
    if not given:
        config.delete(path)
    for value in given:
        if value not in values(config, path):
            raise CannotApply(f"{' '.join(path)!r} does not have the value that is to be deleted")
        config.delete_value(path, value)


def mark_tags(config: Any, path: list[str], schema: Schema | None = None) -> None:
    """Mark every tag node along a path: VyOS rejects a file in which one is missing."""
    own = Schema(Path(os.devnull))
    for depth in range(1, len(path)):
        if "tag" in (own.kind(path[:depth]), schema.kind(path[:depth]) if schema else None):
            config.set_tag(path[:depth])


# --- trees ----------------------------------------------------------------------------------------------------


def children(config: Any, path: list[str]) -> list[str]:
    """Return the names below a node, none where it does not exist."""
    return list(config.list_nodes(path)) if config.exists(path) else []


def values(config: Any, path: list[str]) -> list[str]:
    """Return a node's values, none where it does not exist or has none."""
    if not config.exists(path):
        return []
    try:
        return list(config.return_values(path))
    except Exception as error:
        if type(error).__name__ != "ConfigTreeError":
            raise
        return []


def listed(given: Any) -> list[Any]:
    """Return a value as a list: None is empty, a text of lines is its lines."""
    if given is None:
        return []
    if isinstance(given, str):
        return given.splitlines()
    return list(given) if isinstance(given, Iterable) else [given]
