"""cloud-init module `vyos`: writes a guest's VyOS configuration from its metadata and user-data.

The one canonical copy: its digest is part of every record. It runs once per instance in cloud-init's config stage
(22.1 and later), before VyOS reads config.boot; it imports VyOS only when it runs, and cloud-init never. It reads

    hostname, fqdn, ssh_authorized_keys, user, password, chpasswd, users, ssh_pwauth   as cloud-init defines them
    vyos_config_commands   list of `set …` and `delete …` lines as VyOS' shell takes them, applied last
    vyos_config_options    {network_config: enabled | disabled}

It never makes a password up: without a key and without a password nobody can log in, SSH is off, and the log says
so. The first thing it writes is a configuration without the login that every VyOS ISO carries (vyos/vyos); whatever
ends it after that leaves that one. What cannot be applied is logged, which shows on the console, and raised once
the rest is written, which puts it into cloud-init's result.json.
"""

import base64
import binascii
import ctypes
import io
import ipaddress
import logging
import os
import pwd
import re
import secrets
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)

frequency = "once-per-instance"
distros = ["all"]
# No activate_by_schema_keys: where none of the keys is given, vyos/vyos would stay.
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

LOGIN = ["system", "login"]
SSH = ["service", "ssh"]
ETHERNET = ["interfaces", "ethernet"]
ROUTES = {4: ["protocols", "static", "route"], 6: ["protocols", "static", "route6"]}
DEFAULT_ROUTE = {4: "0.0.0.0/0", 6: "::/0"}
NO_PASSWORD = "*"  # noqa: S105 - what no password matches
DEFAULT_PASSWORD = "vyos"  # noqa: S105 - what every VyOS ISO lets in with

_HASH = re.compile(r"\$[0-9a-z]{1,2}\$[./A-Za-z0-9$=,]+")
_LOCKED = re.compile(rf"\*|!+\*?|!+{_HASH.pattern}")
_PASSWORD = re.compile(r'(\s*)(encrypted|plaintext)-password\s+(?:"(.*)"|(\S+))\s*')
_ENTRANCE = re.compile(r'\s*(?:public-keys \S+ \{|server \S+ \{|(?:encrypted|plaintext)-password +"?[^"*!\s])')
_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_FIRST_USER_ID = 1000
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_KEY = re.compile(r"((?:ssh|ecdsa|sk)-\S+)\s+([A-Za-z0-9+/]+=*)(?:\s+(.*))?")
_ETHERNET = re.compile(r"eth\d+")
_DEFINED = re.compile(r"^(tag|multi|type):", re.MULTILINE)
_DISTANCES = range(1, 256)
_VLANS, _MTUS = range(4095), range(68, 16001)
_HARDWARE_ADDRESS = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")

# What metadata sets, for a guest in which VyOS' own schema is not found.
_BUILTIN = {
    "tag": (
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
    ),
    "multi": (
        "interfaces ethernet * address",
        "interfaces ethernet * vif * address",
        "service ssh port",
        "system domain-search",
        "system name-server",
    ),
}


class CannotApply(Exception):
    """Part of a guest's metadata or user-data cannot be applied. Says which, never with its secrets."""


def handle(name: str, cfg: dict[str, Any], cloud: Any, log: Any = None, args: Any = None) -> None:
    """Write the guest's configuration; cloud-init calls this.

    Releases up to 23.1 pass five arguments by place, later ones by name, and the last ones no logger.

    Raises:
        CannotApply: something was wrong; the rest was written.
    """
    problems = apply_vyos_config_boot(cfg, cloud)
    for problem in problems:
        LOG.error("%s: %s", name, problem)
    if problems:
        raise CannotApply("; ".join(problems))


def apply_vyos_config_boot(cfg: dict[str, Any], cloud: Any) -> list[str]:
    """Apply everything to config.boot, and return what could not be applied.

    Args:
        cfg: cloud-init's merged configuration.
        cloud: cloud-init's view of the instance.
    """
    problems: list[str] = []
    source = next((path for path in (CONFIG, *DEFAULT_CONFIGS) if path.is_file()), None)
    if source is None:
        problems.append(f"neither {CONFIG} nor a default configuration exists: starting from an empty one")
    text = source.read_text(encoding="utf-8", errors="surrogateescape") if source else ""
    text = without_default_logins(text, everyone=source != CONFIG)
    # From here on a crash, or a power cut, leaves a guest that lets nobody in whom its owner did not name.
    write_config(text if lets_someone_in(text) else without_ssh(text))

    from vyos.configtree import ConfigTree  # pyright: ignore  # noqa: PGH003 - only a VyOS guest has it

    config = Configuration(migrated(text, problems), ConfigTree, Schema(TEMPLATES), problems)
    with config.part("host name"):
        apply_host_name(config, cfg, cloud)
    with config.part("logins"):
        apply_logins(config, cfg, cloud)
    with config.part("network"):
        apply_network(config, cfg, cloud)
    with config.part("vyos_config_commands"):
        apply_vyos_commands(config, normalize_vyos_config_commands(cfg.get('vyos_config_commands')))  # fmt: skip
    if not lets_someone_in(config.text()):
        LOG.critical("no usable key and no password was given: nobody can log in, and SSH is off")
        if config.config.exists(SSH):
            config.delete(SSH)
    ConfigTree(config.text())  # What VyOS could not read must not replace what it can.
    write_config(config.text())
    return problems


def migrated(text: str, problems: list[str]) -> str:
    """Return a configuration as VyOS' own migration makes it for this release."""
    if not MIGRATION.is_file():
        return text
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / CONFIG.name
        copy.write_text(text, encoding="utf-8", errors="surrogateescape")
        try:
            subprocess.run([str(MIGRATION), str(copy)], capture_output=True, check=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()[-500:]
            problems.append(f"the configuration was not migrated to this release: {error}: {said}")
            return text
        return copy.read_text(encoding="utf-8", errors="surrogateescape")


def write_config(text: str) -> None:
    """Put a configuration in place, whole or not at all; readable for the directory's group only."""
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    partial = CONFIG.with_name(f".{CONFIG.name}.partial")
    with partial.open("w", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(file.fileno(), 0o660)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(CONFIG)


# --- doors: text alone, so that nothing of VyOS has to work for them to be shut -----------------------------------


def without_default_logins(text: str, *, everyone: bool) -> str:
    """Return a configuration without the passwords that an ISO brings, and without empty ones.

    Args:
        text: of a config.boot.
        everyone: it is the ISO's default itself, so that none of its passwords is the owner's.
    """
    return "".join(
        without_default_password(line, everyone=everyone) if path[:2] == LOGIN else line
        for path, line in lines_of(text)
    )


def without_ssh(text: str) -> str:
    """Return a configuration in which SSH is off."""
    return "".join(line for path, line in lines_of(text) if path[:2] != SSH)


def lines_of(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield each line of a config.boot, and the path of the block or leaf that it belongs to."""
    path: list[str] = []
    for line in io.StringIO(text):
        words = line.split()
        if words[-1:] == ["{"]:
            path.append(words[0])
            yield list(path), line
        elif words == ["}"]:
            yield list(path), line
            path = path[:-1]
        else:
            yield [*path, *words[:1]], line


def without_default_password(line: str, *, everyone: bool) -> str:
    """Return a line of `system login` that lets nobody in by an ISO's password, nor by an empty one."""
    match = _PASSWORD.fullmatch(line)
    if match is None:
        return line
    indent, kind, quoted, bare = match.groups()
    password = quoted or bare or ""
    if kind == "plaintext":
        return "" if everyone or password == DEFAULT_PASSWORD else line
    # Where it cannot be told whether it is the default's hash, it counts as that.
    is_default = bool(_HASH.fullmatch(password)) and hashed(DEFAULT_PASSWORD, password) in (password, None)
    return f'{indent}encrypted-password "{NO_PASSWORD}"\n' if everyone or is_default or not password else line


def lets_someone_in(text: str) -> bool:
    """Tell whether a configuration has a login: a key, a password that some text matches, or a server that knows."""
    return any(path[:2] == LOGIN and _ENTRANCE.match(line) for path, line in lines_of(text))


# --- the tree and its schema --------------------------------------------------------------------------------------


class Schema:
    """What kind a configuration node is: `tag`, `multi`, `leaf`, `valueless` or `group`; None where unknown.

    Args:
        templates: VyOS' tree of node.def files; where it does not exist, only the nodes of metadata are known.
    """

    def __init__(self, templates: Path) -> None:
        self.templates = templates
        self.complete = templates.is_dir()

    def kind(self, path: list[str]) -> str | None:
        """Return the kind of the node at a path; names of tag nodes stand in it as they are."""
        if not self.complete:
            return self._builtin(path)
        place, inside_tag = self.templates, False
        for word in path:
            if not inside_tag and (word in ("", ".", "..", "node.tag") or "/" in word or "\0" in word):
                return None
            place = place / ("node.tag" if inside_tag else word)
            found = self._defined(place)
            if found is None and not inside_tag:
                return None
            inside_tag = found == "tag" and not inside_tag
        return self._defined(place) or "group"

    def _builtin(self, path: list[str]) -> str | None:
        for kind, known in _BUILTIN.items():
            for words in (entry.split() for entry in known):
                if len(words) == len(path) and all(a in ("*", b) for a, b in zip(words, path, strict=True)):
                    return kind
        return None

    def _defined(self, place: Path) -> str | None:
        try:
            text = (place / "node.def").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "group" if place.is_dir() else None
        marks = _DEFINED.findall(text)
        if not marks:
            return "group" if any(child.is_dir() for child in place.iterdir()) else "valueless"
        return next((mark for mark in ("tag", "multi") if mark in marks), "leaf")


class Configuration:
    """A configuration tree that takes only what VyOS reads back from config.boot as it was given.

    Args:
        text: the configuration to start from.
        tree: VyOS' ConfigTree.
        schema: which nodes VyOS has.
        problems: receives what could not be applied.
    """

    def __init__(self, text: str, tree: Callable[[str], Any], schema: Schema, problems: list[str]) -> None:
        self.config = tree(text)
        self.schema = schema
        self.problems = problems
        self._tree = tree

    @contextmanager
    def part(self, where: str) -> Iterator[None]:
        """Keep what goes wrong in this block from everything else, and report it."""
        try:
            yield
        except CannotApply as error:
            self.problems.append(f"{where}: {error}")
        except KeyError as error:
            self.problems.append(f"{where}: {error} is missing")
        except Exception as error:  # noqa: BLE001 - a datasource raises what it likes; keys must arrive all the same
            # The text of a ValueError may quote a password.
            self.problems.append(f"{where}: has an unexpected shape ({type(error).__name__})")

    def text(self) -> str:
        """Return the text of a config.boot."""
        return self.config.to_string()

    def names(self, path: list[str]) -> list[str]:
        """Return the names below a node, none where it does not exist."""
        return list(self.config.list_nodes(path)) if self.config.exists(path) else []

    def values(self, path: list[str]) -> list[str]:
        """Return a node's values, none where it does not exist."""
        return list(self.config.return_values(path)) if self.config.exists(path) else []

    def set(self, path: list[str], value: str | None = None) -> None:
        """Set a node: values of a multi node add up, any other value replaces the former.

        Raises:
            CannotApply: VyOS has no such node, or cannot keep this name or value in config.boot.
        """
        kind = self.schema.kind(path)
        if kind is None and self.schema.complete:
            raise CannotApply(f"VyOS has no node {' '.join(path)!r}")
        if value == "" and path[-1] == "encrypted-password":
            raise CannotApply("an empty password would let everyone in")
        if not self._survives(path, value):
            raise CannotApply(f"a word of {' '.join(path)!r}, or its value, cannot stand in config.boot")
        if value is not None:
            self.config.set(path, value=value, replace=kind != "multi")
        elif not self.config.exists(path):
            self.config.set(path)
        self._mark_tags(self.config, path)

    def delete(self, path: list[str], value: str | None = None) -> None:
        """Delete a node, or one value of it. What is not there is said, and is as good as deleted."""
        if not self.config.exists(path) or (value is not None and value not in self.values(path)):
            LOG.warning("nothing to delete at %r", " ".join(path))
        elif value is None:
            self.config.delete(path)
        else:
            self.config.delete_value(path, value)

    def _survives(self, path: list[str], value: str | None) -> bool:
        """Tell whether a node, printed and read again, is itself: no blank, brace, quote or backslash changed it."""
        alone = self._tree("")
        try:
            alone.set(path) if value is None else alone.set(path, value=value)
            self._mark_tags(alone, path)
            again = self._tree(alone.to_string())
            return again.exists(path) and (value is None or list(again.return_values(path)) == [value])
        except Exception as error:
            if isinstance(error, ValueError) or type(error).__name__ == "ConfigTreeError":
                return False
            raise

    def _mark_tags(self, tree: Any, path: list[str]) -> None:
        """Mark every tag node above a path: VyOS rejects a file in which one is missing."""
        for depth in range(1, len(path)):
            if self.schema.kind(path[:depth]) == "tag":
                tree.set_tag(path[:depth])


# --- host name and logins -----------------------------------------------------------------------------------------


def apply_host_name(config: Configuration, cfg: dict[str, Any], cloud: Any) -> None:
    """Set host name and domain from user-data, else from metadata."""
    given = cfg.get("fqdn") or cfg.get("hostname") or cloud.get_hostname(fqdn=True, metadata_only=True)
    # From 22.2 on cloud-init answers with a tuple (name, whether it is a default).
    full = str((given[0] if isinstance(given, tuple) else given) or "").rstrip(".")
    if not full:
        return
    if not all(_HOST.fullmatch(label) for label in full.split(".")):
        raise CannotApply(f"{full!r} is not one")
    host, _, domain = full.partition(".")
    config.set(["system", "host-name"], host)
    if domain:
        config.set(["system", "domain-name"], domain)


def apply_logins(config: Configuration, cfg: dict[str, Any], cloud: Any) -> None:
    """Set users, keys and passwords from metadata and user-data, and SSH where someone can log in."""
    default = default_user(cfg)
    before = config.text()
    with config.part("keys of the metadata"):
        set_keys(config, default, listed(cloud.get_public_ssh_keys()))
    with config.part("ssh_authorized_keys"):
        set_keys(config, default, listed(cfg.get("ssh_authorized_keys")))
    with config.part("password"):
        if cfg.get("password"):
            set_password(config, default, str(cfg["password"]))
    with config.part("users"):
        for number, user in enumerate(entries_of(cfg.get("users")), start=1):
            with config.part(f"users, entry {number}"):
                if user != "default":
                    apply_user(config, user)
    with config.part("chpasswd"):
        apply_chpasswd(config, cfg.get("chpasswd") or {})
    if config.text() != before and lets_someone_in(config.text()):
        enable_ssh(config, by_password=cfg.get("ssh_pwauth"))


def default_user(cfg: dict[str, Any]) -> str:
    """Return the name of the user who gets the instance's keys and password: `user`, else the image's, else vyos."""
    for given in (cfg.get("user"), (cfg.get("system_info") or {}).get("default_user")):
        name = given.get("name") if isinstance(given, dict) else given
        if name:
            return str(name)
    return "vyos"


def apply_user(config: Configuration, user: Any) -> None:
    """Set one entry of `users`. A password in it is meant, unless `lock_passwd: true` stands beside it."""
    if not isinstance(user, dict) or not user.get("name"):
        raise CannotApply("it is neither `default` nor has a name")
    name = str(user["name"])
    path = user_path(name)
    if user.get("gecos"):
        config.set([*path, "full-name"], str(user["gecos"]))
    set_keys(config, name, listed(user.get("ssh_authorized_keys")))
    if user.get("lock_passwd") is not True:
        for key, kind in (("plain_text_passwd", "text"), ("hashed_passwd", "hash"), ("passwd", "hash")):
            if user.get(key):
                set_password(config, name, str(user[key]), kind)
    if not config.config.exists(path):
        LOG.warning("%s has neither a key nor a password, and is not made", name)
    refuse_others(
        user,
        "name gecos ssh_authorized_keys lock_passwd plain_text_passwd hashed_passwd passwd "
        # Every login of VyOS is an administrator with its shell and a group of its own.
        "groups primary_group homedir no_create_home no_user_group no_log_init shell sudo system create_groups",
    )


def apply_chpasswd(config: Configuration, given: dict[str, Any]) -> None:
    """Set the passwords of `chpasswd`: `users`, or lines of `user:password` in `list`."""
    for line in listed(given.get("list")):
        with config.part("chpasswd, list"):
            name, colon, password = str(line).partition(":")
            if not colon:
                raise CannotApply("a line is not user:password")
            set_password(config, name, password)
    for user in given.get("users") or []:
        with config.part("chpasswd, users"):
            kind = str(user.get("type", "hash"))
            set_password(config, str(user["name"]), "R" if kind == "RANDOM" else str(user["password"]), kind)


def user_path(name: str) -> list[str]:
    """Return the path of a user.

    Raises:
        CannotApply: VyOS cannot make a user of this name.
    """
    if not _USER_NAME.fullmatch(name):
        raise CannotApply(f"{name!r} cannot be a user's name")
    try:
        if pwd.getpwnam(name).pw_uid < _FIRST_USER_ID:
            raise CannotApply(f"{name} is the system's own user, whom VyOS does not manage")
    except KeyError:
        pass
    return [*LOGIN, "user", name]


def set_keys(config: Configuration, user: str, given: Iterable[Any]) -> None:
    """Give a user SSH keys, lines as in authorized_keys without options."""
    for number, line in enumerate(dict.fromkeys(str(line).strip() for line in given), start=1):
        with config.part(f"ssh key {number} of {user}"):
            match = _KEY.fullmatch(line)
            if match is None or not is_key(*match.group(1, 2)):
                raise CannotApply("it is not a public key; options before one are not supported")
            path = [*user_path(user), "authentication", "public-keys"]
            if any(match[2] in config.values([*path, name, "key"]) for name in config.names(path)):
                continue
            name = re.sub(r"[^A-Za-z0-9_.@-]", "-", (match[3] or "").strip()) or f"cloud-init-{number}"
            path.append(name if name not in config.names(path) else f"{name}-{number}")
            config.set([*path, "key"], match[2])
            config.set([*path, "type"], match[1])


def is_key(kind: str, text: str) -> bool:
    """Tell whether a text is the base64 of a public key of this kind (RFC 4253, section 6.6)."""
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return blob[:4] == len(kind).to_bytes(4, "big") and blob[4 : 4 + len(kind)] == kind.encode()


def set_password(config: Configuration, user: str, password: str, kind: str = "either") -> None:
    """Give a user a password: a hash as it is, a plain one hashed, so that it never stands on the disk.

    Args:
        config: where to.
        user: whose.
        password: `*`, `!`, or a hash behind `!` locks it, as in shadow(5).
        kind: `hash`, `text`, or `either`: what looks like a hash is one.

    Raises:
        CannotApply: there is no usable hash of it.
    """
    if kind != "text" and password in ("R", "RANDOM"):
        raise CannotApply(f"a random password for {user} would be known to nobody; give a hash or a key")
    if kind != "text" and _LOCKED.fullmatch(password):
        encrypted: str | None = NO_PASSWORD
    elif kind != "text" and _HASH.fullmatch(password):
        encrypted = password
    elif kind == "hash":
        raise CannotApply(f"the password of {user} is not a hash of crypt(3)")
    else:
        encrypted = hashed(password, f"$6${secrets.token_hex(8)}$")
    if encrypted is None:
        raise CannotApply(f"the password of {user} cannot be hashed here; give a hash")
    config.set([*user_path(user), "authentication", "encrypted-password"], encrypted)


def hashed(password: str, setting: str) -> str | None:
    """Return the crypt(3) hash of a password, None where there is none."""
    try:
        library = ctypes.CDLL("libcrypt.so.1")
    except OSError:
        return None
    library.crypt.restype = ctypes.c_char_p
    answer = None if not password or "\0" in password else library.crypt(password.encode(), setting.encode())
    return answer.decode() if answer and not answer.startswith(b"*") else None


def enable_ssh(config: Configuration, *, by_password: Any) -> None:
    """Run SSH, on port 22 unless the configuration has another; logins by password only where asked for."""
    if not config.values([*SSH, "port"]):
        config.set([*SSH, "port"], "22")
    only_keys = [*SSH, "disable-password-authentication"]
    if str(by_password).lower() not in ("true", "yes", "on", "1"):
        config.set(only_keys)
    elif config.config.exists(only_keys):
        config.delete(only_keys)


# --- network ------------------------------------------------------------------------------------------------------


def apply_network(config: Configuration, cfg: dict[str, Any], cloud: Any) -> None:
    """Set interfaces, routes and name servers from the datasource's network configuration, version 1 or 2.

    Without one, eth0 asks by DHCP where no interface has an address yet.
    `vyos_config_options: {network_config: …}` decides over `network: {config: …}`.
    """
    wanted = (cfg.get("vyos_config_options") or {}).get("network_config") or (cfg.get("network") or {}).get("config")
    if wanted == "disabled":
        return
    given = getattr(cloud.datasource, "network_config", None)
    if isinstance(given, dict) and "network" in given:
        given = given["network"]
    network = Network(config)
    if given is None:
        # A seed that was taken away must not give an address to a router that has its own.
        if not any(config.values([*ETHERNET, name, "address"]) for name in config.names(ETHERNET)):
            network.device_2([*ETHERNET, "eth0"], {"dhcp4": True})
    elif given.get("config") == "disabled":
        return
    elif given.get("version") == 1:
        network.version_1(given.get("config") or [])
    elif given.get("version") == 2:
        network.version_2(given)
    else:
        raise CannotApply(f"version {given.get('version')} is neither 1 nor 2")


class Network:
    """Writes a cloud-init network configuration into a tree (cloudinit.readthedocs.io, network-config)."""

    def __init__(self, config: Configuration) -> None:
        self.config = config
        self._devices: dict[str, list[str]] = {}

    def version_1(self, entries: list[dict[str, Any]]) -> None:
        """Apply version 1: a list of devices, name servers and routes."""
        for number, entry in enumerate(entries, start=1):
            with self.config.part(f"network, entry {number}"):
                kind = entry.get("type")
                if kind in ("physical", "vlan"):
                    self._device_1(entry)
                elif kind == "nameserver":
                    self._name_servers(entry.get("address"), entry.get("search"))
                    refuse_others(entry, "type name address search")
                elif kind == "route":
                    self._route_1(entry, None, ())
                elif kind != "loopback":
                    raise CannotApply(f"{kind} {entry.get('name', '')} is not supported")

    def version_2(self, given: dict[str, Any]) -> None:
        """Apply version 2: devices by identifier, as netplan has them."""
        for name, device in (given.get("ethernets") or {}).items():
            with self.config.part(f"network, {name}"):
                match = device.get("match") or {}
                mac = match.get("macaddress") or device.get("macaddress")
                path = self._ethernet(device.get("set-name") or name, mac)
                self._devices[name] = path
                self.device_2(path, device)
        for name, device in (given.get("vlans") or {}).items():
            with self.config.part(f"network, {name}"):
                self.device_2([*self._below(device["link"]), "vif", within(device["id"], _VLANS)], device)
        with self.config.part("network"):
            refuse_others(given, "version renderer ethernets vlans")

    def _device_1(self, entry: dict[str, Any]) -> None:
        if entry["type"] == "vlan":
            path = [*self._below(entry["vlan_link"]), "vif", within(entry["vlan_id"], _VLANS)]
            self.config.set(path)
            refuse_others(entry, "type name vlan_link vlan_id mtu subnets")
        else:
            path = self._ethernet(entry["name"], entry.get("mac_address"))
        self._mtu(path, entry)
        for number, subnet in enumerate(entry.get("subnets") or [], start=1):
            with self.config.part(f"network, subnet {number} of {device_name(path)}"):
                self._subnet_1(path, subnet)
        if entry["type"] == "physical":
            refuse_others(entry, "type name mac_address mtu subnets")

    def _subnet_1(self, path: list[str], subnet: dict[str, Any]) -> None:
        # Hetzner has sent static subnets without a type.
        kind = subnet.get("type") or ("static" if subnet.get("address") else "dhcp6" if subnet.get("ipv6") else "dhcp")
        own: tuple[Any, ...] = ()
        if kind in ("dhcp", "dhcp4"):
            self.config.set([*path, "address"], "dhcp")
        elif kind in ("dhcp6", "ipv6_dhcpv6-stateful"):
            self.config.set([*path, "address"], "dhcpv6")
        elif kind in ("ipv6_slaac", "ipv6_dhcpv6-stateless"):
            self.config.set([*path, "ipv6", "address", "autoconf"])
        elif kind in ("static", "static6"):
            own = (interface_address(subnet["address"], subnet.get("netmask") or subnet.get("prefix")),)
            self.config.set([*path, "address"], str(own[0]))
        else:
            raise CannotApply(f"type {kind} is not supported")
        if subnet.get("gateway"):
            self._route(DEFAULT_ROUTE[version_of(subnet["gateway"])], subnet["gateway"], path, own)
        for route in subnet.get("routes") or []:
            self._route_1(route, path, own)
        self._name_servers(subnet.get("dns_nameservers"), subnet.get("dns_search"))
        refuse_others(
            subnet, "type ipv4 ipv6 control address netmask prefix gateway routes dns_nameservers dns_search"
        )

    def _route_1(self, route: dict[str, Any], path: list[str] | None, own: tuple[Any, ...]) -> None:
        network, mask = route.get("network") or route["destination"], route.get("netmask") or route.get("prefix")
        to = network if "/" in network or mask is None else f"{network}/{mask}"
        self._route(to, route["gateway"], path, own, route.get("metric"))
        refuse_others(route, "type id name network destination netmask prefix gateway metric")

    def device_2(self, path: list[str], device: dict[str, Any]) -> None:
        """Apply what version 2 says of one device, at its path."""
        self.config.set(path)
        self._mtu(path, device)
        for key, value in (("dhcp4", "dhcp"), ("dhcp6", "dhcpv6")):
            if device.get(key):
                self.config.set([*path, "address"], value)
        if device.get("accept-ra"):
            self.config.set([*path, "ipv6", "address", "autoconf"])
        own = tuple(interface_address(address, None) for address in device.get("addresses") or [])
        for address in own:
            self.config.set([*path, "address"], str(address))
        for key in ("gateway4", "gateway6"):
            if device.get(key):
                self._route(DEFAULT_ROUTE[version_of(device[key])], device[key], path, own)
        for number, route in enumerate(device.get("routes") or [], start=1):
            with self.config.part(f"network, route {number} of {device_name(path)}"):
                to = DEFAULT_ROUTE[version_of(route["via"])] if route["to"] == "default" else route["to"]
                self._route(to, route["via"], path, own, route.get("metric"))
                refuse_others(route, "to via metric on-link")
        servers = device.get("nameservers") or {}
        self._name_servers(servers.get("addresses"), servers.get("search"))
        refuse_others(
            device,
            "match set-name macaddress link id mtu dhcp4 dhcp6 accept-ra addresses gateway4 gateway6 routes "
            "nameservers optional",
        )

    def _ethernet(self, name: str, mac: str | None) -> list[str]:
        """Return the path of an Ethernet device, by its hardware address where the guest has one with it."""
        same = (
            path.parent.name
            for path in sorted(INTERFACES.glob("eth*/address"))
            if mac and path.read_text().strip() == mac.lower()
        )
        found = next(same, name)
        if not _ETHERNET.fullmatch(found):
            raise CannotApply(f"there is no Ethernet device {name} ({mac or 'no hardware address given'})")
        path = self._devices[name] = [*ETHERNET, found]
        self.config.set(path)
        if mac:
            if not _HARDWARE_ADDRESS.fullmatch(mac.lower()):
                raise CannotApply(f"{mac!r} is no hardware address")
            self.config.set([*path, "hw-id"], mac.lower())
        return path

    def _below(self, name: str) -> list[str]:
        return self._devices.get(name) or self._ethernet(name, None)

    def _route(self, to: str, via: str, path: list[str] | None, own: tuple[Any, ...], metric: Any = None) -> None:
        """Add a route; `path` is the device it leaves by, `own` that device's addresses."""
        gateway, network = ipaddress.ip_address(zoneless(via)), ipaddress.ip_network(zoneless(to), strict=False)
        if gateway.version != network.version:
            raise CannotApply(f"the gateway {gateway} cannot serve {network}")
        if path is None and gateway.is_link_local:
            raise CannotApply(f"nothing says on which device the gateway {gateway} is")
        if metric is not None and int(metric) not in _DISTANCES:
            raise CannotApply(f"VyOS has no distance {metric}")
        hop = [*ROUTES[gateway.version], str(network), "next-hop", str(gateway)]
        self.config.set(hop)
        if metric is not None:
            self.config.set([*hop, "distance"], str(int(metric)))
        same = [address for address in own if address.version == gateway.version]
        if path and gateway.is_link_local and gateway.version == 6:
            self.config.set([*hop, "interface"], device_name(path))
        elif path and same and not any(gateway in address.network for address in same):
            # A gateway outside every network of the device is reached on the link itself.
            host = f"{gateway}/{gateway.max_prefixlen}"
            self.config.set([*ROUTES[gateway.version], host, "interface", device_name(path)])

    def _name_servers(self, servers: Any, search: Any) -> None:
        for server in listed(servers):
            self.config.set(["system", "name-server"], str(ipaddress.ip_address(zoneless(server))))
        for domain in listed(search):
            self.config.set(["system", "domain-search"], domain)

    def _mtu(self, path: list[str], device: dict[str, Any]) -> None:
        if device.get("mtu"):
            self.config.set([*path, "mtu"], within(device["mtu"], _MTUS))


def device_name(path: list[str]) -> str:
    """Return the kernel's name of the device at a path: `eth0`, or `eth0.100` for a VLAN."""
    return ".".join(word for word in path[2:] if word != "vif")


def interface_address(address: str, mask: str | int | None) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """Return an address with its network; the mask counts only where the address carries no prefix.

    Raises:
        CannotApply: neither tells the network.
    """
    if "/" not in address and mask is None:
        raise CannotApply(f"the address {address} has no prefix")
    return ipaddress.ip_interface(zoneless(address if "/" in address else f"{address}/{mask}"))


def within(number: Any, allowed: range) -> str:
    """Return a number as VyOS takes it; one that it refuses would cost the whole interface when the guest boots.

    Raises:
        CannotApply: it is outside of what VyOS allows.
    """
    if int(number) not in allowed:
        raise CannotApply(f"{number} is not from {allowed.start} to {allowed.stop - 1}")
    return str(int(number))


def version_of(address: str) -> int:
    """Return 4 or 6."""
    return ipaddress.ip_address(zoneless(address)).version


def zoneless(address: str) -> str:
    """Return an address unchanged. Python takes any text after a `%` for the name of a zone; VyOS takes none.

    Raises:
        CannotApply: it names a zone.
    """
    if "%" in address:
        raise CannotApply(f"{address!r} names a zone: the device says where it is")
    return address


# --- commands -----------------------------------------------------------------------------------------------------


def normalize_vyos_config_commands(given: Any) -> list[str]:
    """Return the lines of `vyos_config_commands`: a list, or a text of lines; blanks and comments stay as lines.

    Raises:
        CannotApply: it is neither.
    """
    lines = given.splitlines() if isinstance(given, str) else given or []
    if not isinstance(lines, list):
        raise CannotApply("it is neither a list of lines nor a text")
    return lines


def apply_vyos_commands(config: Configuration, commands: list[str]) -> None:
    """Apply `set` and `delete` lines in order; each is applied as it stands, or reported without its values."""
    for number, vyos_command in enumerate(commands, start=1):
        with config.part(f"vyos_config_commands, line {number}"):
            verb, words = parse_commands(vyos_command)
            if not verb:
                continue
            if not config.schema.complete:
                raise CannotApply(f"VyOS' schema is not at {config.schema.templates}, so no command can be checked")
            path, value = split_value(words, config.schema, setting=verb == "set")
            act = config.set if verb == "set" else config.delete
            act(path, value)


def parse_commands(vyos_command: str) -> tuple[str, list[str]]:
    """Return a command's verb and words, quotes taken as a shell does; no verb for a blank line or a comment.

    Raises:
        CannotApply: not text, neither `set` nor `delete`, no words, or a quote that is never closed.
    """
    if not isinstance(vyos_command, str):
        raise CannotApply("it is not a text")
    if not vyos_command.strip() or vyos_command.lstrip().startswith("#"):
        return "", []
    try:
        verb, *words = shlex.split(vyos_command)
    except ValueError as error:
        raise CannotApply("quotes do not match") from error
    if verb not in ("set", "delete"):
        raise CannotApply("it begins with neither set nor delete")
    if not words:
        raise CannotApply("it names no node")
    return verb, words


def split_value(words: list[str], schema: Schema, *, setting: bool) -> tuple[list[str], str | None]:
    """Return path and value of a command: VyOS' schema knows where the path ends.

    Raises:
        CannotApply: VyOS has no such node, a value or a name is missing, or there is a word too many.
    """
    at_name = False
    for depth in range(1, len(words) + 1):
        path, given = words[:depth], words[depth:]
        kind = "name" if at_name else schema.kind(path)
        at_name = kind == "tag"
        shown = " ".join(path)
        if kind is None:
            # The last word may be a value in the wrong place, and a secret.
            raise CannotApply(f"VyOS has no such node below {' '.join(path[:-1]) or 'the root'!r}")
        if kind == "valueless" and given:
            raise CannotApply(f"{shown!r} takes no value")
        if kind in ("leaf", "multi"):
            if len(given) > 1:
                raise CannotApply(f"{shown!r} takes one value; put it in quotes")
            if setting and not given:
                raise CannotApply(f"{shown!r} needs a value")
            return path, given[0] if given else None
    if at_name and setting:
        raise CannotApply(f"{' '.join(words)!r} needs a name")
    return words, None


# --- foreign data -------------------------------------------------------------------------------------------------


def refuse_others(given: dict[str, Any], known: str) -> None:
    """Refuse what nobody reads, so that it is not taken to be in force.

    Raises:
        CannotApply: there is a key beyond the known ones, and it says something.
    """
    others = sorted(str(key) for key in given.keys() - known.split() if given[key] not in (None, False, "", [], {}))
    if others:
        raise CannotApply(f"not supported: {', '.join(others)}")


def entries_of(given: Any) -> list[Any]:
    """Return the entries of `users`: a list, names with commas between them, or one entry per name."""
    if isinstance(given, str):
        return [name.strip() for name in given.split(",")]
    if isinstance(given, dict):
        return [{"name": name, **entry} if isinstance(entry, dict) else name for name, entry in given.items()]
    return listed(given)


def listed(given: Any) -> list[Any]:
    """Return a value as a list: None is empty, a text of lines is its lines."""
    if given is None:
        return []
    return given.splitlines() if isinstance(given, str) else list(given)
