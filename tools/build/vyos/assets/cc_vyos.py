"""cloud-init module `vyos`: writes a guest's VyOS configuration from its metadata and user-data.

The one canonical copy: its digest is part of every record. It runs once per instance in cloud-init's config stage
(22.1 and later), before VyOS reads config.boot; it imports VyOS only when it runs, and cloud-init never. It reads

    hostname, fqdn, ssh_authorized_keys, user, password, chpasswd, users, ssh_pwauth   as cloud-init defines them
    write_files            only whether it wrote config.boot itself: then nothing but commands is added to it
    vyos_config_commands   list of `set …` and `delete …` lines as VyOS' shell takes them, applied last
    vyos_config_options    {network_config: enabled | disabled}

Each rule stands in one section, under a heading of its name:

    the run         the order: shut the doors, migrate or add the footer, metadata, commands, write
    the file        an owner's config.boot wins; footers and migration; a file is written whole or not at all
    the doors       no login of the ISO's, no empty password; text alone, so that nothing of VyOS has to work
    the schema      which nodes VyOS has, from either of its sources; which values it refuses
    the tree        what may be set, and by whom; which user counts as a way in; one mistake costs its own part only
    the ledger      what metadata wrote, so that another instance's metadata replaces it
    the logins      host name, users, keys, passwords, SSH
    the network     network configuration, versions 1 and 2: devices, addresses, routes, name servers
    addresses       hardware and IP addresses, networks, masks, as texts of any spelling
    the commands    `set` and `delete` lines: words, path and value
    foreign data    unread keys, booleans as texts, lists in their shapes

It never makes a password up. What a function cannot apply it raises as CannotApply; `Configuration.part` makes that a
report. Reports are logged, which shows on the console, and raised at the end, which puts them into cloud-init's
result.json. None repeats a secret.
"""

import base64
import binascii
import ctypes
import io
import ipaddress
import json
import logging
import os
import pwd
import re
import secrets
import select
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
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
LEDGER_NAME = ".cloud-init-ledger.json"
# As VyOS looks for them: its own copy, or a flavour's, first.
OWN_DEFAULT = Path("/opt/vyatta/etc/config.boot.default")
DEFAULT = Path("/usr/share/vyos/config.boot.default")
TEMPLATES = Path("/opt/vyatta/share/vyatta-cfg/templates")
LIBEXEC = Path("/usr/libexec/vyos")
MIGRATION = LIBEXEC / "run-config-migration.py"
FOOTER = LIBEXEC / "add-system-version.py"
INTERFACES = Path("/sys/class/net")

LOGIN = ["system", "login"]
USERS = [*LOGIN, "user"]
SSH = ["service", "ssh"]
ETHERNET = ["interfaces", "ethernet"]
LOOPBACK = ["interfaces", "loopback", "lo"]
ROUTES = {4: ["protocols", "static", "route"], 6: ["protocols", "static", "route6"]}
DEFAULT_ROUTE = {4: "0.0.0.0/0", 6: "::/0"}
NO_PASSWORD = "*"  # noqa: S105 - what no password matches
DEFAULT_PASSWORD = "vyos"  # noqa: S105 - what every VyOS ISO lets in with

_HASH = re.compile(r"\$[0-9a-z]{1,2}\$[./A-Za-z0-9$=,]+")
_DES = re.compile(r"[./A-Za-z0-9]{13}")
_LOCKED = re.compile(rf"\*|!+\*?|!+{_HASH.pattern}")
_PASSWORD = re.compile(r'(\s*)(encrypted|plaintext)-password\s+(?:"(.*)"|(\S+))\s*')
_ENTRANCE = re.compile(r'\s*(?:public-keys \S+ \{|server \S+ \{|(?:encrypted|plaintext)-password +"?[^"*!\s])')
_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_FIRST_USER_ID = 1000
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_OPTION = r"""[A-Za-z0-9-]+(?:="(?:\\.|[^"\\])*")?"""
_KEY = re.compile(
    rf"(?:(?P<options>{_OPTION}(?:,{_OPTION})*)\s+)?"
    r"(?P<kind>(?:ssh|ecdsa|sk)-\S+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s+(?P<name>.*))?"
)
_ETHERNET = re.compile(r"eth\d+")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_DEFINED = re.compile(r"^(tag|multi|type):", re.MULTILINE)
_FOOTER = re.compile(r"^(?://|/\* ===) vy(?:os|atta)-config-version:", re.MULTILINE)
# A command with a comment behind it: `#` begins one behind a blank, outside of quotes.
_COMMENTED = re.compile(r"""((?:[^\s'"\\]|\\.|'[^']*'|"(?:\\.|[^"\\])*"|\s(?!\#))+)\s\#.*""")
_DISTANCES = range(1, 256)
_LEAST_MTU, _USUAL_MTU = 1280, 1500
_TRUE, _FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0", "")

_WITHOUT_EFFECT = (
    *("ca_certs", "disk_setup", "mounts", "ntp", "packages", "resolv_conf", "snap", "ssh_import_id", "ssh_keys"),
    *("timezone", "wireguard", "yum_repos"),
)

# The nodes of metadata that are no plain leaves, for a guest in which none of VyOS' own schemas is found.
_BUILTIN = {
    "tag": re.compile(
        r"interfaces (ethernet( \S+ vif)?|loopback)|protocols static route6?( \S+ (interface|next-hop))?"
        r"|system login (radius server|user( \S+ authentication public-keys)?)"
    ),
    "multi": re.compile(
        r"interfaces (ethernet \S+( vif \S+)?|loopback \S+) address|service ssh port"
        r"|system (domain-search|name-server)"
    ),
}
# And what their values and names look like, for a guest in which nothing of VyOS looks at them.
_BUILTIN_VALUES = {
    re.compile(nodes): re.compile(value)
    for nodes, value in {
        r"system host-name": r"[A-Za-z0-9][-.A-Za-z0-9]*[A-Za-z0-9]",
        r"system domain-(name|search)": r"[A-Za-z0-9][-.A-Za-z0-9]*",
        r"system login user \S+ full-name": r"[^:]*",
        r"system login user \S+ authentication encrypted-password": r"[*!]|\$[156y]\$\S+",
        r"interfaces ethernet \S+ vif": r"\d{1,3}|[1-3]\d{3}|40([0-8]\d|9[0-4])",
    }.items()
}


class CannotApply(Exception):
    """Part of a guest's metadata or user-data cannot be applied. Says which, never with its secrets."""


# --- the run ------------------------------------------------------------------------------------------------------


def handle(name: str, cfg: dict[str, Any], cloud: Any, log: Any = None, args: Any = None) -> None:
    """Write the guest's configuration; cloud-init calls this.

    Releases up to 23.1 pass five arguments by place, later ones by name, and the last ones no logger. It raises
    CannotApply where something was wrong; the rest was written.
    """
    problems = apply_vyos_config_boot(cfg, cloud)
    for problem in problems:
        LOG.error("%s: %s", name, problem)
    if problems:
        raise CannotApply("; ".join(problems))


def apply_vyos_config_boot(cfg: dict[str, Any], cloud: Any) -> list[str]:
    """Apply cloud-init's merged configuration and metadata to config.boot; return what could not be applied."""
    problems: list[str] = []
    source = next((path for path in (CONFIG, OWN_DEFAULT, DEFAULT) if path.is_file()), None)
    if source is None:
        problems.append(f"neither {CONFIG} nor a default configuration exists: starting from an empty one")
    text = shut(source) if source else ""
    # From here on a crash, or a power cut, leaves a guest that lets nobody in whom its owner did not name.
    write_config(text if lets_someone_in(text) else without_ssh(text))

    from vyos.configtree import ConfigTree  # pyright: ignore  # noqa: PGH003 - only a VyOS guest has it

    # Of the release's own default VyOS migrates nothing: without a footer it would count as one of version 0.
    of_this_release = source in (DEFAULT, None) and not _FOOTER.search(text)
    text = with_footer(text, problems) if of_this_release else migrated(text, problems)
    ledger = Ledger(CONFIG.with_name(LEDGER_NAME))
    with closing(Schema(TEMPLATES)) as schema:
        text = applied(Configuration(text, ConfigTree, schema, problems, ledger), text, cfg, cloud)
    ConfigTree(text)  # What VyOS could not read must not replace what it can.
    # Whatever ends it between the writes: what metadata wrote, now or before, is known to be its.
    ledger.write(both=True)
    write_config(text)
    ledger.write()
    return problems


def applied(config: "Configuration", text: str, cfg: dict[str, Any], cloud: Any) -> str:
    """Apply metadata and commands to what was read from a text; return the text that comes of it."""
    read = config.text()
    warn_of_others(cfg)
    if owner_wrote_configuration(cfg, config.problems):
        config.ledger.parts.clear()
    else:
        apply_metadata(config, cfg, cloud)
    with config.part("vyos_config_commands"):
        apply_vyos_commands(config, normalize_vyos_config_commands(cfg.get('vyos_config_commands')))  # fmt: skip
    if not config.lets_someone_in():
        LOG.critical("no usable key and no password was given: nobody can log in, and SSH is off")
        if config.config.exists(SSH):
            config.delete(SSH)
    # What nothing was added to stays as its owner spelt it.
    return text if config.text() == read else config.text()


def warn_of_others(cfg: dict[str, Any]) -> None:
    """Say which well-known keys of user-data have no effect: VyOS owns what they are about."""
    others = sorted(key for key in _WITHOUT_EFFECT if cfg.get(key))
    if others:
        LOG.warning("without effect here, vyos_config_commands say it: %s", ", ".join(others))


def apply_metadata(config: "Configuration", cfg: dict[str, Any], cloud: Any) -> None:
    """Set host name, logins and network from metadata and from cloud-init's own keys of user-data."""
    with config.from_metadata("host name"):
        apply_host_name(config, cfg, cloud)
    with config.from_metadata("logins"):
        apply_logins(config, cfg, cloud)
    with config.from_metadata("network"):
        apply_network(config, cfg, cloud)


# --- the file -------------------------------------------------------------------------------------------------------


def owner_wrote_configuration(cfg: dict[str, Any], problems: list[str]) -> bool:
    """Tell whether user-data brought a whole config.boot by `write_files`.

    VyOS' own image runs `vyos`, `write_files` and the commands in this order, so that such a file replaces all that
    metadata said. Here `write_files` runs first; the outcome is the same.
    """
    written = False
    for entry in listed(cfg.get("write_files")):
        given = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(given, str) or not is_configuration(Path(given)):
            continue
        if is_true(entry.get("defer")):
            problems.append("write_files: a deferred config.boot is written after VyOS has read the other one")
        elif not is_true(entry.get("append")):
            written = True
    return written


def is_configuration(path: Path) -> bool:
    """Tell whether a path leads to config.boot; VyOS mounts its directory at /config too."""
    try:
        return os.path.normpath(path) == str(CONFIG) or path.samefile(CONFIG)
    except (OSError, ValueError):
        return False


def with_footer(text: str, problems: list[str]) -> str:
    """Return a configuration with the release's own versions behind it, as VyOS adds them to its default."""
    try:
        footer = subprocess.run([str(FOOTER)], capture_output=True, check=True, timeout=300).stdout.decode()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        problems.append(f"the release's versions were not added, so that VyOS will migrate from the oldest: {error}")
        return text
    return "\n".join([text.rstrip(), "", footer.strip("\n"), ""])


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
    """Write config.boot."""
    write_whole(CONFIG, text)


def write_whole(path: Path, text: str) -> None:
    """Write a file of the configuration's directory, whole or not at all; readable for its group only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name.lstrip('.')}.partial")
    with partial.open("w", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(file.fileno(), 0o660)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


# --- the doors ------------------------------------------------------------------------------------------------------


def shut(source: Path) -> str:
    """Return the text of a configuration, or of a default one, without the logins that an ISO brings."""
    text = source.read_text(encoding="utf-8", errors="surrogateescape")
    return without_default_logins(text, everyone=source != CONFIG)


def without_default_logins(text: str, *, everyone: bool) -> str:
    """Return a config.boot without the passwords that an ISO brings, and without empty ones.

    `everyone`: it is the ISO's default itself, so that none of its passwords is the owner's.
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


# --- the schema -----------------------------------------------------------------------------------------------------


class Schema:
    """What kind a configuration node is: `tag`, `multi`, `leaf`, `valueless` or `group`; None where unknown.

    VyOS keeps this knowledge twice: in a tree of node.def files (`templates`), which it is about to drop, and in
    `vyos.xml_ref`, which serves where there is no such tree. Without either only the nodes of metadata are known.
    """

    def __init__(self, templates: Path) -> None:
        self.templates = templates
        self.has_templates = templates.is_dir()
        self.reference = None if self.has_templates else reference()
        self.complete = self.has_templates or self.reference is not None
        self._judged: dict[tuple[str, str], bool] = {}
        self._library = None if self.reference is None else Library()
        self._sees_values = False
        if self._library is not None and self._library.refuses(_GOOD) is not False:
            # What it says of a good tree it would say of every one: that its own files are missing.
            LOG.warning("VyOS' library cannot be asked about values: only a few are held against its constraints")
            self.close()
            self._library = None
        elif self._library is not None:
            # One of 2025 looks at the values of nodes that may have several, and at no others.
            self._sees_values = self._library.refuses(_BAD) is True

    def kind(self, path: list[str]) -> str | None:
        """Return the kind of the node at a path; names of tag nodes stand in it as they are."""
        if self.reference is not None:
            return self._referenced(path)
        if not self.complete:
            return self._builtin(path)
        place = self._place(path)
        return None if place is None else self._defined(place) or "group"

    def refuses(self, path: list[str], value: str) -> bool:
        """Tell whether VyOS would refuse a value of a leaf, or a name below a tag node, when it boots."""
        if not self.has_templates:
            return not self._sees_values and any(
                nodes.fullmatch(" ".join(path)) and not fitting.fullmatch(value)
                for nodes, fitting in _BUILTIN_VALUES.items()
            )
        place = self._place(path)
        if place is None:
            return False
        asked = (str(place), value)
        if asked not in self._judged:
            self._judged[asked] = not accepted(self._text(place) or "", value)
        return self._judged[asked]

    def refuses_tree(self, tree: Any) -> bool:
        """Tell whether VyOS' library finds a fault in a tree: where there are no templates, it alone can judge."""
        return self._library is not None and self._library.refuses(tree.to_string()) is True

    def close(self) -> None:
        """End what was started to judge."""
        if self._library is not None:
            self._library.close()

    def _place(self, path: list[str]) -> Path | None:
        """Return the directory of a node among the templates."""
        place, inside_tag = self.templates, False
        for word in path:
            if not inside_tag and (word in ("", ".", "..", "node.tag") or "/" in word or "\0" in word):
                return None
            place = place / ("node.tag" if inside_tag else word)
            found = self._defined(place)
            if found is None and not inside_tag:
                return None
            inside_tag = found == "tag" and not inside_tag
        return place

    def _referenced(self, path: list[str]) -> str | None:
        for kind in ("tag", "valueless", "multi", "leaf"):
            try:
                if getattr(self.reference, f"is_{kind}")(path):
                    return kind
            except ValueError:
                return None if kind == "tag" else "group"
        return "group"

    def _builtin(self, path: list[str]) -> str | None:
        return next((kind for kind, known in _BUILTIN.items() if known.fullmatch(" ".join(path))), None)

    def _text(self, place: Path) -> str | None:
        try:
            return (place / "node.def").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def _defined(self, place: Path) -> str | None:
        text = self._text(place)
        if text is None:
            return "group" if place.is_dir() else None
        marks = _DEFINED.findall(text)
        if not marks:
            return "group" if any(child.is_dir() for child in place.iterdir()) else "valueless"
        return next((mark for mark in ("tag", "multi") if mark in marks), "leaf")


def reference() -> Any:
    """Return VyOS' reference of its nodes, None in a release that has none."""
    try:
        from vyos import xml_ref  # pyright: ignore  # noqa: PGH003 - only a VyOS guest has it

        xml_ref.is_tag(["system"])
    except (ImportError, ValueError, KeyError):
        return None
    return xml_ref


_GOOD, _BAD = 'service {\n    ssh {\n        port "22"\n    }\n}\n', 'system {\n    host-name "-"\n}\n'
# What is asked and answered is JSON, a line each. Nothing is freed: until 2026 the function gave a pointer back of
# which half was cut off, and with it went the process; and what a validator prints is no answer.
_LIBRARY = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from vyos.configtree import ConfigTree, validate_tree_filter
kept = []
for line in sys.stdin:
    kept.append(ConfigTree(json.loads(line)))
    kept.append(validate_tree_filter(kept[-1]))
    print(json.dumps(bool(kept[-1][1])), file=answers, flush=True)
os._exit(0)
"""


class Library:
    """VyOS' `validate_tree_filter` (since August 2025) in a process of its own, which may end as it likes."""

    def __init__(self) -> None:
        self._process: Any = None
        with suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LIBRARY],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )

    def refuses(self, text: str) -> bool | None:
        """Tell whether the library finds a fault in a config.boot; None where it does not answer."""
        if self._process is None:
            return None
        try:
            self._process.stdin.write(json.dumps(text).encode() + b"\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], 60)
            return json.loads(self._process.stdout.readline()) if ready else None
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    pipe.close()


_CHECK = re.compile(r'^syntax:expression:\s*exec\s+"((?:\\.|[^"\\])*)"', re.MULTILINE)


def accepted(node_def: str, value: str) -> bool:
    """Tell whether a value fits what its node.def asks of it; what asks nothing that is known takes everything.

    The expression calls VyOS' `validate-value` with regular expressions and validators, of which any may fit.
    """
    found = _CHECK.search(node_def)
    words = shlex.split(re.sub(r"\\(.)", r"\1", found[1])) if found else []
    if not words or Path(words[0]).name != "validate-value":
        return True
    regexes = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--regex"]
    # A program less to start for most values. What Python does not read as VyOS' library does is left to that.
    if "--grp" not in words and any(matches(regex, value) for regex in regexes):
        return True
    if "'" in value or "\0" in value:
        # VyOS' program hands the value to a shell, in single quotes.
        return False
    return validate_value([value if word == "$VAR(@)" else word for word in words[1:]])


def validate_value(arguments: list[str]) -> bool:
    """Ask VyOS' own program about a value; what it cannot be asked is taken."""
    program, validators = LIBEXEC / "validate-value", LIBEXEC / "validators"
    places = {**os.environ, "vyos_libexec_dir": str(LIBEXEC), "vyos_validators_dir": str(validators)}
    try:
        done = subprocess.run([str(program), *arguments], capture_output=True, check=False, timeout=60, env=places)
    except (OSError, subprocess.SubprocessError) as error:
        LOG.warning("a value was not held against VyOS' constraints: %s", type(error).__name__)
        return True
    return done.returncode == 0


def matches(regex: str, value: str) -> bool:
    """Tell whether a whole value matches, as far as Python's expressions are VyOS'."""
    try:
        return "[:" not in regex and re.fullmatch(regex, value, re.ASCII) is not None
    except re.error:
        return False


# --- the tree -----------------------------------------------------------------------------------------------------


class Configuration:
    """A configuration tree that takes only what VyOS reads back from config.boot as it was given, and keeps.

    Args:
        text: the configuration to start from.
        tree: VyOS' ConfigTree.
        schema: which nodes VyOS has.
        problems: receives what could not be applied.
        ledger: what metadata wrote before; takes what it writes now.
    """

    def __init__(
        self,
        text: str,
        tree: Callable[[str], Any],
        schema: Schema,
        problems: list[str],
        ledger: "Ledger | None" = None,
    ) -> None:
        self.config = tree(text)
        self.schema = schema
        self.problems = problems
        self.ledger = ledger or Ledger(Path(os.devnull))
        self._tree = tree
        self._writing: dict[str, list[str]] | None = None
        self._set_now: set[str] = set()

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

    @contextmanager
    def from_metadata(self, name: str) -> Iterator[None]:
        """Note in the ledger, under a name, what this block sets; what goes wrong in it is reported."""
        self._writing = self.ledger.parts.setdefault(name, {})
        with self.part(name):
            yield
        self._writing = None

    def text(self) -> str:
        """Return the text of a config.boot."""
        return self.config.to_string()

    def names(self, path: list[str]) -> list[str]:
        """Return the names below a node, none where it does not exist."""
        return list(self.config.list_nodes(path)) if self.config.exists(path) else []

    def values(self, path: list[str]) -> list[str]:
        """Return a leaf's values, none where it does not exist."""
        return list(self.config.return_values(path)) if self.config.exists(path) else []

    def set(self, path: list[str], value: str | None = None) -> None:
        """Set a node: values of a multi node add up, any other value replaces the former.

        Metadata replaces what it wrote itself and what the default configuration says, nothing else.
        """
        kind = self.schema.kind(path)
        self.require(path, value)
        if self._writing is None:
            self.ledger.forget(path, value)
        elif value is not None and kind != "multi" and self._is_of_others(path):
            LOG.warning("%r was set by others since: it stays as it is", " ".join(path))
            return
        elif value not in self.values(path) if value is not None else not self.config.exists(path):
            self._note(path, value, multi=kind == "multi")
        if value is not None:
            self.config.set(path, value=value, replace=kind != "multi")
        elif not self.config.exists(path):
            self.config.set(path)
        self._mark_tags(self.config, path)

    def require(self, path: list[str], value: str | None = None) -> None:
        """Require that VyOS has a node, takes its name and value, and keeps them in config.boot; nothing is set."""
        shown = " ".join(path)
        if self.schema.kind(path) is None and self.schema.complete:
            raise CannotApply(f"VyOS has no node {shown!r}")
        if value == "" and path[-1] == "encrypted-password":
            raise CannotApply("an empty password would let everyone in")
        if not self._survives(path, value):
            raise CannotApply(f"a word of {shown!r}, or its value, cannot stand in config.boot")
        for depth in range(1, len(path)):
            if self.schema.kind(path[:depth]) == "tag" and self.schema.refuses(path[:depth], path[depth]):
                raise CannotApply(f"VyOS takes no such name below {' '.join(path[:depth])!r}")
        if value is not None and self._is_refused(path, value):
            raise CannotApply(f"VyOS refuses the value of {shown!r}")

    def delete(self, path: list[str], value: str | None = None) -> None:
        """Delete a node, or one value of it. What is not there is said, and is as good as deleted."""
        if not self.config.exists(path) or (value is not None and value not in self.values(path)):
            LOG.warning("nothing to delete at %r", " ".join(path))
        elif value is None:
            self.config.delete(path)
        else:
            self.config.delete_value(path, value)
        # As VyOS' shell does: a tag node without a name would be a line that VyOS cannot load.
        if self.schema.kind(path[:-1]) == "tag" and self.config.exists(path[:-1]) and not self.names(path[:-1]):
            self.config.delete(path[:-1])

    def withdraw(self) -> None:
        """Take back what metadata wrote before under this name: it speaks anew. What others changed since stays."""
        written = self._writing or {}
        for joined, values in reversed(list(written.items())):
            path = joined.split(" ")
            if self.config.exists(path):
                self._take_back(path, values)
                self._prune(path[:-1])
        written.clear()

    def lets_someone_in(self) -> bool:
        """Tell whether somebody can log in to the guest that VyOS will make of this: refused values do not count."""
        for server in ("radius", "tacacs"):
            if self.names([*LOGIN, server, "server"]):
                return True
        # Every one is looked at: a refused password is reported whoever else gets in.
        users = [user for user in self.names(USERS) if self._has_entrance(user)]
        return bool(users)

    def _has_entrance(self, user: str) -> bool:
        base = [*USERS, user, "authentication"]
        keys = [[*base, "public-keys", name] for name in self.names([*base, "public-keys"])]
        open_to = any(self._keeps([*key, "key"]) and self._keeps([*key, "type"]) for key in keys)
        hashed_to = [*base, "encrypted-password"]
        found = self.values(hashed_to)
        if found and not found[0].startswith(("*", "!")):
            if self._keeps(hashed_to):
                return True
            refused = f"VyOS refuses the kind of password that {user} has: it will be left out"
            self.problems += [] if refused in self.problems else [refused]
        return open_to or any(self.values([*base, "plaintext-password"]))

    def _keeps(self, path: list[str]) -> bool:
        found = self.values(path)
        return bool(found) and not self._is_refused(path, found[0])

    def _is_refused(self, path: list[str], value: str) -> bool:
        if self.schema.refuses(path, value):
            return True
        return self.schema.refuses_tree(self._alone(path, value))

    def _is_of_others(self, path: list[str]) -> bool:
        """Tell whether somebody else than metadata set a leaf: it is neither of this run nor of the default."""
        found = self.values(path)
        if not found or not self.ledger.existed or " ".join(path) in self._set_now:
            return False
        defaults = self._defaults()
        return not defaults.exists(path) or list(defaults.return_values(path)) != found

    def _defaults(self) -> Any:
        """Return the tree of the default configuration, an empty one where there is none that can be read."""
        with suppress(OSError, ValueError):
            source = next(path for path in (OWN_DEFAULT, DEFAULT, Path(os.devnull)) if path.exists())
            return self._tree(shut(source))
        return self._tree("")

    def _note(self, path: list[str], value: str | None, *, multi: bool) -> None:
        joined = " ".join(path)
        before = (self._writing or {}).get(joined, []) if multi else []
        if self._writing is not None:
            self._writing[joined] = [*before, value] if value is not None else []
        self._set_now.add(joined)

    def _take_back(self, path: list[str], values: list[str]) -> None:
        if not values:
            if not self.names(path):
                self.config.delete(path)
        elif self.schema.kind(path) == "multi":
            for value in set(values) & set(self.values(path)):
                self.config.delete_value(path, value)
        elif set(self.values(path)) <= set(values):
            self.config.delete(path)

    def _prune(self, path: list[str]) -> None:
        """Delete what is left empty above a node that went; what the default configuration has stays."""
        defaults = self._defaults()
        while path and self.config.exists(path) and not self.names(path) and not defaults.exists(path):
            self.config.delete(path)
            path = path[:-1]

    def _alone(self, path: list[str], value: str | None) -> Any:
        alone = self._tree("")
        alone.set(path) if value is None else alone.set(path, value=value)
        self._mark_tags(alone, path)
        return alone

    def _survives(self, path: list[str], value: str | None) -> bool:
        """Tell whether a node, printed and read again, is itself: no blank, brace, quote or backslash changed it."""
        try:
            again = self._tree(self._alone(path, value).to_string())
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


# --- the ledger -----------------------------------------------------------------------------------------------------


class Ledger:
    """What metadata wrote into the configuration, so that another instance's metadata can replace it.

    Its file lies beside config.boot and moves with it. By name of the part and by node: the values written, none for
    a node without. Nodes that commands or people set are not in it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.existed = file.is_file()
        self.parts: dict[str, dict[str, list[str]]] = self._read()
        self._before = {name: dict(written) for name, written in self.parts.items()}

    def forget(self, path: list[str], value: str | None) -> None:
        """Leave a node, or one of its values, to somebody else, who sets it too."""
        joined = " ".join(path)
        for written in self.parts.values():
            if joined in written:
                kept = [one for one in written[joined] if one != value]
                if kept:
                    written[joined] = kept
                else:
                    del written[joined]

    def write(self, *, both: bool = False) -> None:
        """Keep it on the disk; `both`: together with what it was before."""
        parts = {name: dict(written) for name, written in self.parts.items()}
        for name, written in self._before.items() if both else ():
            joined = parts.setdefault(name, {})
            for path, values in written.items():
                joined[path] = list(dict.fromkeys([*values, *joined.get(path, [])]))
        write_whole(self.file, json.dumps({"version": 1, "parts": parts}, indent=1) + "\n")

    def _read(self) -> dict[str, dict[str, list[str]]]:
        try:
            said = json.loads(self.file.read_text(encoding="utf-8")) if self.existed else {"parts": {}}
            return {
                str(name): {str(path): [str(value) for value in values] for path, values in written.items()}
                for name, written in said["parts"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            LOG.warning("what metadata wrote before cannot be read, and stays: %s", self.file)
            return {}


# --- the logins -----------------------------------------------------------------------------------------------------


def apply_host_name(config: Configuration, cfg: dict[str, Any], cloud: Any) -> None:
    """Set host name and domain from user-data, else from metadata."""
    named = cfg.get("hostname")
    given = cfg.get("fqdn") or named or cloud.get_hostname(fqdn=True, metadata_only=True)
    # From 22.2 on cloud-init answers with a tuple (name, whether it is a default).
    full = str((given[0] if isinstance(given, tuple) else given) or "").strip().rstrip(".")
    if not full:
        return
    host, _, domain = full.partition(".")
    if named and cfg.get("fqdn"):
        # As cloud-init has it: the name is the one, the domain the other's.
        host = str(named).strip().partition(".")[0]
    if not _HOST.fullmatch(host):
        raise CannotApply(f"{host!r} is not one")
    # Before the former name is taken back: a router keeps one.
    config.require(["system", "host-name"], host)
    config.withdraw()
    config.set(["system", "host-name"], host)
    if domain:
        if not all(_HOST.fullmatch(label) for label in domain.split(".")):
            raise CannotApply(f"{domain!r} is not a domain")
        config.set(["system", "domain-name"], domain)


def apply_logins(config: Configuration, cfg: dict[str, Any], cloud: Any) -> None:
    """Set users, keys and passwords from metadata and user-data, and SSH where someone can log in."""
    default = default_user(cfg)
    keys: list[Any] = []
    with config.part("keys of the metadata"):
        keys = listed(cloud.get_public_ssh_keys())
    users: list[Any] = []
    with config.part("users"):
        users = entries_of(cfg.get("users"))
    changed = cfg.get("chpasswd")
    passwords = [cfg.get("password"), *(map(changed.get, ("list", "users")) if isinstance(changed, dict) else ())]
    named = set(map(str, users)) - {"default"} or isinstance(cfg.get("user"), dict)
    if keys or named or cfg.get("ssh_authorized_keys") or any(passwords):
        config.withdraw()
    before = config.text()
    set_keys(config, default, keys)
    with config.part("ssh_authorized_keys"):
        set_keys(config, default, values_of(cfg.get("ssh_authorized_keys")))
    with config.part("password"):
        if cfg.get("password"):
            set_password(config, default, str(cfg["password"]))
    with config.part("user"):
        if isinstance(cfg.get("user"), dict):
            apply_user(config, {"name": default, **cfg["user"]}, "user")
    for number, user in enumerate(users, start=1):
        with config.part(f"users, entry {number}"):
            if user != "default":
                apply_user(config, user, f"users, entry {number}")
    with config.part("chpasswd"):
        apply_chpasswd(config, cfg.get("chpasswd") or {})
    if config.text() != before and config.lets_someone_in():
        enable_ssh(config, by_password=is_true(cfg.get("ssh_pwauth")))


def default_user(cfg: dict[str, Any]) -> str:
    """Return the name of the user who gets the instance's keys and password: `user`, else the image's, else vyos."""
    for given in (cfg.get("user"), (cfg.get("system_info") or {}).get("default_user")):
        name = given.get("name") if isinstance(given, dict) else given
        if name:
            return str(name)
    return "vyos"


def apply_user(config: Configuration, user: Any, where: str) -> None:
    """Set one entry of `users`. A password in it is meant, unless `lock_passwd: true` stands beside it."""
    if not isinstance(user, dict) or not user.get("name"):
        raise CannotApply("it is neither `default` nor has a name")
    # cloud-init takes either spelling of a key.
    user = {str(key).replace("-", "_"): value for key, value in user.items()}
    name = str(user["name"])
    path = user_path(name)
    set_keys(config, name, values_of(user.get("ssh_authorized_keys")))
    with config.part(where):
        if not truth(user.get("lock_passwd"), "lock_passwd"):
            for key, kind in (("plain_text_passwd", "text"), ("hashed_passwd", "hash"), ("passwd", "hash")):
                if user.get(key):
                    set_password(config, name, str(user[key]), kind)
    with config.part(where):
        if user.get("gecos"):
            # On one line: no program takes another, and with it goes the whole login.
            config.set([*path, "full-name"], " ".join(str(user["gecos"]).split()))
    if not config.config.exists(path) and where != "user":
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
    """Return the path of a user, of a name that VyOS can make one of."""
    if not _USER_NAME.fullmatch(name):
        raise CannotApply(f"{name!r} cannot be a user's name")
    try:
        if pwd.getpwnam(name).pw_uid < _FIRST_USER_ID:
            raise CannotApply(f"{name} is the system's own user, whom VyOS does not manage")
    except KeyError:
        pass
    return [*USERS, name]


def set_keys(config: Configuration, user: str, given: Iterable[Any]) -> None:
    """Give a user SSH keys, lines as in authorized_keys: options, kind, key and a name (sshd(8))."""
    lines = [line.strip() for entry in given for line in str(entry).splitlines()]
    for number, line in enumerate(dict.fromkeys(line for line in lines if line), start=1):
        if line.startswith("#"):
            continue
        with config.part(f"ssh key {number} of {user}"):
            match = _KEY.fullmatch(line)
            if match is None or not is_key(match["kind"], match["key"]):
                raise CannotApply("it is not a public key")
            path = [*user_path(user), "authentication", "public-keys"]
            if any(match["key"] in config.values([*path, name, "key"]) for name in config.names(path)):
                continue
            name = re.sub(r"[^A-Za-z0-9_.@-]", "-", (match["name"] or "").strip()) or f"cloud-init-{number}"
            path.append(name if name not in config.names(path) else f"{name}-{number}")
            said = {"options": match["options"], "type": match["kind"], "key": match["key"]}
            # VyOS writes a quote for this into authorized_keys.
            values = {node: value.replace('"', "&quot;") for node, value in said.items() if value}
            # All or none: a key without its options opens more than it should, and one that lacks a kind costs VyOS
            # every login.
            for node, value in values.items():
                config.require([*path, node], value)
            for node, value in values.items():
                config.set([*path, node], value)


def is_key(kind: str, text: str) -> bool:
    """Tell whether a text is the base64 of a public key of this kind (RFC 4253, section 6.6)."""
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return blob[:4] == len(kind).to_bytes(4, "big") and blob[4 : 4 + len(kind)] == kind.encode()


def set_password(config: Configuration, user: str, password: str, kind: str = "either") -> None:
    """Give a user a password: a hash as it is, a plain one hashed, so that it never stands on the disk.

    `*`, `!`, or a hash behind `!` locks it, as in shadow(5). Its kind is `hash`, `text`, or `either`: what looks like
    a hash is one.
    """
    password = password.rstrip("\r\n")
    if kind != "text" and password in ("R", "RANDOM"):
        raise CannotApply(f"a random password for {user} would be known to nobody; give a hash or a key")
    if kind != "text" and _LOCKED.fullmatch(password):
        encrypted: str | None = NO_PASSWORD
    elif (kind != "text" and _HASH.fullmatch(password)) or (kind == "hash" and _DES.fullmatch(password)):
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


def enable_ssh(config: Configuration, *, by_password: bool) -> None:
    """Run SSH, on port 22 unless the configuration has another; logins by password only where asked for."""
    if not config.values([*SSH, "port"]):
        config.set([*SSH, "port"], "22")
    only_keys = [*SSH, "disable-password-authentication"]
    if by_password:
        if config.config.exists(only_keys):
            config.delete(only_keys)
        return
    config.set(only_keys)
    without_key = [
        user
        for user in config.names(USERS)
        if not config.names([*USERS, user, "authentication", "public-keys"])
        and config.values([*USERS, user, "authentication", "encrypted-password"]) not in ([], [NO_PASSWORD])
    ]
    if without_key:
        LOG.warning(
            "SSH takes no passwords without `ssh_pwauth: true`: %s can log in at the console only",
            ", ".join(without_key),
        )


# --- the network ----------------------------------------------------------------------------------------------------


def apply_network(config: Configuration, cfg: dict[str, Any], cloud: Any) -> None:
    """Set interfaces, routes and name servers from the datasource's network configuration, version 1 or 2.

    Without one, eth0 asks by DHCP where no interface has an address yet.
    `vyos_config_options: {network_config: …}` decides over `network: {config: …}`.
    """
    wanted = (cfg.get("vyos_config_options") or {}).get("network_config") or (cfg.get("network") or {}).get("config")
    if wanted == "disabled":
        config.withdraw()
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
        config.withdraw()
    elif given.get("version") in (1, "1"):
        config.withdraw()
        network.version_1(given.get("config") or [])
        network.lower_vlans()
    elif given.get("version") in (2, "2"):
        config.withdraw()
        network.version_2(given)
        network.lower_vlans()
    else:
        raise CannotApply(f"version {given.get('version')} is neither 1 nor 2")


class Network:
    """Writes a cloud-init network configuration into a tree (cloudinit.readthedocs.io, network-config).

    Each setting is a part of its own: one that cannot be applied is reported, and those beside it are applied.
    """

    def __init__(self, config: Configuration) -> None:
        self.config = config
        self._devices: dict[str, list[str]] = {}
        self._vlans: list[list[str]] = []

    def version_1(self, entries: list[dict[str, Any]]) -> None:
        """Apply version 1: a list of devices, name servers and routes."""
        for number, entry in enumerate(entries, start=1):
            where = f"network, entry {number}"
            with self.config.part(where):
                kind = entry.get("type")
                if kind in ("physical", "vlan"):
                    self._device_1(entry, where)
                elif kind == "loopback":
                    self._subnets_1(LOOPBACK, entry)
                elif kind == "nameserver":
                    self._name_servers(where, entry.get("address"), entry.get("search"))
                    refuse_others(entry, "type name address search")
                elif kind == "route":
                    self._route_1(entry, None, ())
                else:
                    raise CannotApply(f"{kind} {entry.get('name', '')} is not supported")

    def version_2(self, given: dict[str, Any]) -> None:
        """Apply version 2: devices by identifier, as netplan has them."""
        for name, said in (given.get("ethernets") or {}).items():
            with self.config.part(f"network, {name}"):
                device = said or {}
                match = device.get("match") or {}
                own = device.get("macaddress")
                wanted = device.get("set-name") or match.get("name") or name
                path = self._devices[name] = self._ethernet(wanted, match.get("macaddress") or own)
                self.device_2(path, device, mac=own if match.get("macaddress") else None)
                refuse_others(match, "macaddress name")
        for name, device in (given.get("vlans") or {}).items():
            with self.config.part(f"network, {name}"):
                path = self._vlan(device["link"], device["id"])
                self.device_2(path, device, mac=device.get("macaddress"))
        with self.config.part("network"):
            refuse_others(given, "version renderer ethernets vlans")

    def _device_1(self, entry: dict[str, Any], where: str) -> None:
        mac = entry.get("mac_address")
        known = "type name mac_address mtu subnets accept-ra"
        if entry["type"] == "vlan":
            path = self._vlan(entry["vlan_link"], entry["vlan_id"])
            known += " vlan_link vlan_id"
        else:
            path, mac = self._ethernet(entry["name"], mac), None
        self._device(path, entry, where, mac)
        self._subnets_1(path, entry)
        refuse_others(entry, known)

    def _subnets_1(self, path: list[str], entry: dict[str, Any]) -> None:
        for number, subnet in enumerate(entry.get("subnets") or [], start=1):
            where = f"network, subnet {number} of {device_name(path)}"
            own: tuple[Any, ...] = ()
            with self.config.part(where):
                own = self._address_1(path, subnet)
            with self.config.part(where):
                if subnet.get("gateway"):
                    self._route(DEFAULT_ROUTE[address_of(subnet["gateway"]).version], subnet["gateway"], path, own)
            for route in subnet.get("routes") or []:
                with self.config.part(where):
                    self._route_1(route, path, own)
            self._name_servers(where, subnet.get("dns_nameservers"), subnet.get("dns_search"))
            with self.config.part(where):
                refuse_others(
                    subnet,
                    "type ipv4 ipv6 control address netmask prefix broadcast gateway routes "
                    "dns_nameservers dns_search",
                )

    def _address_1(self, path: list[str], subnet: dict[str, Any]) -> tuple[Any, ...]:
        """Set what one subnet of version 1 says of addresses; return the address that it names."""
        # Hetzner has sent static subnets without a type.
        kind = subnet.get("type") or ("static" if subnet.get("address") else "dhcp6" if subnet.get("ipv6") else "dhcp")
        if kind in ("dhcp", "dhcp4"):
            self.config.set([*path, "address"], "dhcp")
        elif kind in ("dhcp6", "ipv6_dhcpv6-stateful"):
            self.config.set([*path, "address"], "dhcpv6")
        elif kind in ("ipv6_slaac", "ipv6_dhcpv6-stateless"):
            self.config.set([*path, "ipv6", "address", "autoconf"])
        elif kind in ("static", "static6"):
            own = interface_address(subnet["address"], subnet.get("netmask") or subnet.get("prefix"))
            self.config.set([*path, "address"], str(own))
            return (own,)
        elif kind == "manual":
            # The device is there, and whoever owns the router gives it an address.
            if subnet.get("address"):
                raise CannotApply("a subnet of type manual has no address")
        elif kind != "loopback":
            raise CannotApply(f"type {kind} is not supported")
        return ()

    def _route_1(self, route: dict[str, Any], path: list[str] | None, own: tuple[Any, ...]) -> None:
        to = network_of(route.get("network") or route["destination"], route.get("netmask") or route.get("prefix"))
        self._route(to, route["gateway"], path, own, metric=route.get("metric"))
        refuse_others(route, "type id name network destination netmask prefix gateway metric")

    def device_2(self, path: list[str], device: dict[str, Any], mac: Any = None) -> None:
        """Apply what version 2 says of one device, at its path; `mac` is an address that it is to take."""
        where = f"network, {device_name(path)}"
        self._device(path, device, where, mac)
        for key, value in (("dhcp4", "dhcp"), ("dhcp6", "dhcpv6")):
            with self.config.part(where):
                if truth(device.get(key), key):
                    self.config.set([*path, "address"], value)
        own: list[Any] = []
        for address in listed(device.get("addresses")):
            with self.config.part(where):
                # netplan: an address may have options.
                (alone, options), *_ = address.items() if isinstance(address, dict) else [(address, {})]
                own.append(interface_address(alone))
                self.config.set([*path, "address"], str(own[-1]))
                refuse_others(options or {}, "")
        for key in ("gateway4", "gateway6"):
            with self.config.part(where):
                if device.get(key):
                    self._route(DEFAULT_ROUTE[address_of(device[key]).version], device[key], path, tuple(own))
        for number, route in enumerate(device.get("routes") or [], start=1):
            with self.config.part(f"network, route {number} of {device_name(path)}"):
                self._route_2(route, path, tuple(own))
        servers = device.get("nameservers") or {}
        self._name_servers(where, servers.get("addresses"), servers.get("search"))
        refuse_others(
            device,
            "match set-name macaddress link id mtu dhcp4 dhcp6 accept-ra addresses gateway4 gateway6 routes "
            "nameservers optional",
        )

    def lower_vlans(self) -> None:
        """Take back an MTU of a VLAN above its device's: VyOS refuses the device for it, with all that it has."""
        for path in self._vlans:
            mtu, above = [*path, "mtu"], self.config.values([*path[:3], "mtu"])
            most = int(above[0]) if above else _USUAL_MTU
            with self.config.part(f"network, {device_name(path)}"):
                if any(int(own) > most for own in self.config.values(mtu)):
                    self.config.delete(mtu)
                    raise CannotApply(f"its MTU is left out: that of {device_name(path[:3])} is {most}")

    def _route_2(self, route: dict[str, Any], path: list[str], own: tuple[Any, ...]) -> None:
        to, via, known = route["to"], route.get("via"), "to via metric on-link"
        if via is None and route.get("scope") == "link":
            # By the device alone.
            via, known = DEFAULT_ROUTE[6 if ":" in str(to) else 4].partition("/")[0], f"{known} scope"
        if via is None:
            raise KeyError("via")
        if to == "default":
            to = DEFAULT_ROUTE[address_of(via).version]
        on_link = truth(route.get("on-link"), "on-link")
        self._route(to, via, path, own, metric=route.get("metric"), on_link=on_link)
        refuse_others(route, known)

    def _ethernet(self, name: str, mac: Any) -> list[str]:
        """Return the path of an Ethernet device, by its hardware address where the guest has one with it."""
        address = None
        with self.config.part(f"network, {name}"):
            address = hardware_address(mac) if mac else None
        same = (
            path.parent.name
            for path in sorted(INTERFACES.glob("eth*/address"))
            if address and path.read_text().strip() == address
        )
        found = next(same, name)
        if not _ETHERNET.fullmatch(found):
            raise CannotApply(f"there is no Ethernet device {name} ({address or 'no hardware address given'})")
        path = self._devices[name] = [*ETHERNET, found]
        self.config.set(path)
        if address:
            self.config.set([*path, "hw-id"], address)
        return path

    def _vlan(self, link: str, number: Any) -> list[str]:
        """Return the path of a VLAN of a device."""
        below = self._devices.get(link) or self._ethernet(link, None)
        self._vlans.append([*below, "vif", str(int(number))])
        return self._vlans[-1]

    def _route(
        self,
        to: Any,
        via: Any,
        path: list[str] | None,
        own: tuple[Any, ...],
        *,
        metric: Any = None,
        on_link: bool = False,
    ) -> None:
        """Add a route; `path` is the device it leaves by, `own` that device's addresses."""
        gateway, network = address_of(via), network_of(to)
        if gateway.version != network.version:
            raise CannotApply(f"the gateway {gateway} cannot serve {network}")
        if path is None and (gateway.is_link_local or gateway.is_unspecified):
            raise CannotApply(f"nothing says on which device the gateway {gateway} is")
        routes = ROUTES[gateway.version]
        hop = [*routes, str(network), "next-hop", str(gateway)]
        if path and gateway.is_unspecified:
            # By the device alone.
            hop[-2:] = ["interface", device_name(path)]
        self.config.set(hop)
        if path and not gateway.is_unspecified:
            same = [address for address in own if address.version == gateway.version]
            if gateway.version == 6 and (gateway.is_link_local or on_link):
                self.config.set([*hop, "interface"], device_name(path))
            elif on_link or (same and not any(gateway in address.network for address in same)):
                # A gateway outside every network of the device is reached on the link itself.
                self.config.set([*routes, str(network_of(gateway)), "interface", device_name(path)])
        if metric is not None:
            if int(metric) not in _DISTANCES:
                raise CannotApply(f"VyOS has no distance {int(metric)}: the route to {network} has none")
            self.config.set([*hop, "distance"], str(int(metric)))

    def _name_servers(self, where: str, servers: Any, search: Any) -> None:
        for server in words_of(servers):
            with self.config.part(where):
                self.config.set(["system", "name-server"], str(address_of(server)))
        for domain in words_of(search):
            with self.config.part(where):
                self.config.set(["system", "domain-search"], domain)

    def _device(self, path: list[str], device: dict[str, Any], where: str, mac: Any) -> None:
        """Apply what both versions say of a device in the same words, and the hardware address that it is to take."""
        self.config.set(path)
        with self.config.part(where):
            if mac:
                self.config.set([*path, "mac"], hardware_address(mac))
        with self.config.part(where):
            if device.get("mtu"):
                mtu = int(device["mtu"])
                if mtu < _LEAST_MTU:
                    raise CannotApply(f"VyOS takes no MTU below {_LEAST_MTU} where IPv6 is on: {mtu} is left out")
                self.config.set([*path, "mtu"], str(mtu))
        with self.config.part(where):
            if truth(device.get("accept-ra"), "accept-ra"):
                self.config.set([*path, "ipv6", "address", "autoconf"])


# --- addresses ------------------------------------------------------------------------------------------------------


def device_name(path: list[str]) -> str:
    """Return the kernel's name of the device at a path: `eth0`, or `eth0.100` for a VLAN."""
    return ".".join(word for word in path[2:] if word != "vif")


def hardware_address(given: Any) -> str:
    """Return a hardware address as VyOS spells it: six pairs in lower case with colons between."""
    address = str(given).strip().lower().replace("-", ":")
    if not _MAC.fullmatch(address):
        raise CannotApply(f"{str(given)!r} is no hardware address")
    return address


def interface_address(address: Any, mask: Any = None) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """Return an address with its network; the mask counts only where the address carries no prefix."""
    alone, slash, own = str(address).partition("/")
    if not slash and mask is None:
        raise CannotApply(f"the address {address} has no prefix")
    return ipaddress.ip_interface(f"{address_of(alone)}/{prefix_of(own.strip() if slash else mask)}")


def network_of(network: Any, mask: Any = None) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return a network; without any mask it is one address, or every one for 0.0.0.0 and ::."""
    if mask is None and "/" not in str(network):
        alone = address_of(network)
        mask = 0 if alone.is_unspecified else alone.max_prefixlen
    return interface_address(network, mask).network


def prefix_of(mask: Any) -> int:
    """Return the length of a prefix that is given as a number, or as a netmask of IPv4 or IPv6."""
    if str(mask).strip().isdecimal():
        return int(mask)
    given = address_of(mask)
    bits = f"{int(given):0{given.max_prefixlen}b}"
    if "01" in bits:
        raise CannotApply(f"{mask} is no netmask")
    return bits.count("1")


def address_of(text: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address. Python takes any text after a `%` for the name of a zone; VyOS takes none."""
    if "%" in str(text):
        raise CannotApply(f"{text!r} names a zone: the device says where it is")
    return ipaddress.ip_address(str(text).strip())


# --- the commands ---------------------------------------------------------------------------------------------------


def normalize_vyos_config_commands(given: Any) -> list[str]:
    """Return the lines of `vyos_config_commands`: a list, or a text of lines; blanks and comments stay as lines."""
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
                raise CannotApply(
                    f"VyOS' schema is neither at {config.schema.templates} nor in vyos.xml_ref: "
                    "no command can be checked"
                )
            path, value = split_value(words, config.schema, setting=verb == "set")
            act = config.set if verb == "set" else config.delete
            act(path, value)


def parse_commands(vyos_command: str) -> tuple[str, list[str]]:
    """Return a command's verb and words, quotes taken as a shell does; no verb for a blank line or a comment."""
    if not isinstance(vyos_command, str):
        raise CannotApply("it is not a text")
    if not vyos_command.strip() or vyos_command.lstrip().startswith("#"):
        return "", []
    try:
        # A quote that is never closed has no comment behind it: shlex finds it.
        spoken = _COMMENTED.fullmatch(vyos_command)
        verb, *words = shlex.split(spoken[1] if spoken else vyos_command)
    except ValueError as error:
        raise CannotApply("quotes do not match") from error
    if verb not in ("set", "delete"):
        raise CannotApply("it begins with neither set nor delete")
    if not words:
        raise CannotApply("it names no node")
    return verb, words


def split_value(words: list[str], schema: Schema, *, setting: bool) -> tuple[list[str], str | None]:
    """Return path and value of a command: VyOS' schema knows where the path ends."""
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
    """Refuse what nobody reads, so that it is not taken to be in force. Called last: it costs nothing but itself.

    Keys that begin with `_` are cloud-init's own notes of a conversion.
    """
    others = sorted(
        str(key)
        for key in given.keys() - known.split()
        if given[key] not in (None, False, "", [], {}) and not str(key).startswith("_")
    )
    if others:
        raise CannotApply(f"not supported: {', '.join(others)}")


def truth(given: Any, key: str) -> bool:
    """Return whether a key is on: a boolean, or one written as a text, as generators do. Nothing is off."""
    said = str(given).lower()
    if given is not None and said not in (*_TRUE, *_FALSE):
        raise CannotApply(f"{key} is neither true nor false")
    return is_true(given)


def is_true(given: Any) -> bool:
    """Tell whether a value is true, or a text that says so; any other text is not."""
    return str(given).lower() in _TRUE


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


def values_of(given: Any) -> list[Any]:
    """Return a value as a list: of a mapping, its values."""
    return list(given.values()) if isinstance(given, dict) else listed(given)


def words_of(given: Any) -> list[Any]:
    """Return names or addresses as a list: a text has blanks or commas between them."""
    return given.replace(",", " ").split() if isinstance(given, str) else listed(given)
