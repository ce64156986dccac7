"""Where VyOS keeps what belongs to one router, as the running system finds it, and which question looks there.

What belongs here: paths of the guest. A place that is missing here is looked at by no question, so that a disk with
something in it passes: another one that becomes known is added, and `test_router_paths` asks for a question about it.

The configuration's directory stands twice. At the first boot VyOS' live-boot copies it to /config, which is
`/boot/<release>/rw/config` on the disk, and from then on mounts that over /opt/vyatta/etc/config (live-boot,
components/9990-vyos.sh). Newer releases may no longer mount it: what counts then stands in the other one.
"""

import gzip
import io
import zlib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from hyops_assets.image.credentials import CONFIG_DIRECTORY
from hyops_assets.image.inspection.effective import EffectiveFiles
from hyops_assets.image.inspection.files import MOST_READ_BYTES
from hyops_assets.image.vyos_config import Configuration, read_configuration

CONFIG_DIRECTORIES = (CONFIG_DIRECTORY, "/config")
"""Of which either may be the one that VyOS reads."""

SAVED, DEFAULT = "config.boot", "config.boot.default"
LEDGER = ".cloud-init-ledger.json"
"""What `cc_vyos` notes beside a configuration."""

IDENTITIES = (
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/var/lib/dhcpv6/dhcp6c_duid",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/random-seed",
)
"""Files by which a machine is known, or on which its secrets rest; empty, they are made anew."""

OF_ONE_MACHINE = (
    "/etc/hostid",
    "/etc/iscsi/initiatorname.iscsi",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/etc/salt/minion_id",
    "/var/lib/dhcp/*.lease*",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/systemd/network/*",
)
"""Patterns of what a machine writes about itself while it runs: a fault in the overlay. The ISO may have them."""

ACCOUNTS = ("/etc/shadow", "/etc/passwd")
ACCOUNT_BACKUPS = ("/etc/shadow-", "/etc/passwd-")
"""What useradd(8) and its like leave beside the accounts, with the same hashes."""

CLOUD_STATE = ("/var/lib/cloud", *(f"{directory}/cloud" for directory in CONFIG_DIRECTORIES))
ENCRYPTED_STORE = "/luks"
"""On the boot partition: an encrypted volume that VyOS mounts over both directories, and cannot be looked into."""

_MARK = ".vyatta_config"
_OF_PEOPLE = ("/etc/", "/home/", "/root/", "/usr/local/", "/opt/vyatta/etc/")
_PRIVATE = b"PRIVATE KEY-----"
_HISTORIES = (".bash_history", ".lesshst", ".python_history", ".viminfo")
_KEY_FILES = ("authorized_keys", "authorized_keys2")


def starting_configurations(guest: EffectiveFiles) -> list[str]:
    """Return what VyOS may start from: saved configurations, and default ones wherever they lie."""
    defaults = sorted(path for path in guest.paths if PurePosixPath(path).name == DEFAULT)
    return _there(guest, [*(f"{directory}/{SAVED}" for directory in CONFIG_DIRECTORIES), *defaults])


def all_configurations(guest: EffectiveFiles) -> list[tuple[str, Configuration]]:
    """Return every configuration of a guest, by its path: its backups and its archive hold the same secrets."""
    kept = [path for path in _in_directories(guest) if SAVED in PurePosixPath(path).name]
    return [(path, _read(guest, path)) for path in _there(guest, [*starting_configurations(guest), *kept])]


def is_key_file(path: str) -> bool:
    """Tell whether sshd may take a file for a list of keys that let in."""
    return PurePosixPath(path).name in _KEY_FILES


def is_host_key(path: str) -> bool:
    """Tell whether a file is a key of an SSH server."""
    name = PurePosixPath(path).name
    return name.startswith(("ssh_host_", "dropbear_")) and "_key" in name


def accounts(guest: EffectiveFiles) -> list[str]:
    """Return the files of a guest in which accounts, or former ones, have their passwords."""
    return [*ACCOUNTS, *(path for path in ACCOUNT_BACKUPS if path in guest.upper)]


def files_of_one_machine(guest: EffectiveFiles) -> list[str]:
    """Return what the overlay has of one machine's identity, besides what `IDENTITIES` names."""
    return [path for path in _overlaid(guest) if any(fnmatchcase(path, pattern) for pattern in OF_ONE_MACHINE)]


def private_keys(guest: EffectiveFiles) -> list[str]:
    """Return the private keys, of whatever program, that the overlay has among settings and in homes."""
    return [
        path
        for path in _overlaid(guest)
        if path.startswith(_OF_PEOPLE) and not is_host_key(path) and _PRIVATE in (guest.find(path) or b"")
    ]


def histories(guest: EffectiveFiles) -> list[str]:
    """Return the notes that shells and editors keep of what was typed, passwords among it."""
    return [path for path in _overlaid(guest) if PurePosixPath(path).name in _HISTORIES]


def files_of_one_router(guest: EffectiveFiles) -> list[str]:
    """Return what else stands in the configuration's directories: keys, certificates, scripts that run at each boot.

    What the ISO has there itself, with the same bytes, is everybody's. What other questions tell is left to them.
    """
    return [
        path
        for path in _in_directories(guest)
        if path in guest.upper
        and PurePosixPath(path).name not in (_MARK, LEDGER)
        and SAVED not in PurePosixPath(path).name
        and not is_key_file(path)
        and not is_host_key(path)
        and not path.startswith(tuple(f"{directory}/" for directory in CLOUD_STATE))
        and not _is_the_isos(guest, path)
    ]


def _overlaid(guest: EffectiveFiles) -> list[str]:
    return [path for path, entry in guest.upper.items() if entry.kind == "file"]


def _in_directories(guest: EffectiveFiles) -> list[str]:
    return [path for directory in CONFIG_DIRECTORIES for path in guest.files_below(directory)]


def _there(guest: EffectiveFiles, paths: Iterable[str]) -> list[str]:
    """Return the paths at which something stands, each file once."""
    found: dict[str, str] = {}
    for path in paths:
        at = guest.resolve(path)
        if at is not None:
            found.setdefault(at, path)
    return list(found.values())


def _is_the_isos(guest: EffectiveFiles, path: str) -> bool:
    """Tell whether a file is the ISO's own, which live-boot or VyOS copied."""
    inside = next(path.removeprefix(directory) for directory in CONFIG_DIRECTORIES if path.startswith(f"{directory}/"))
    lower = guest.lower(f"{CONFIG_DIRECTORY}{inside}")
    return lower is not None and guest.find(path) == lower


def _read(guest: EffectiveFiles, path: str) -> Configuration:
    content = guest.find(path) or b""
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as archived:
                content = archived.read(MOST_READ_BYTES)
        except (OSError, EOFError, zlib.error):
            content = b""
    return read_configuration(content.decode(errors="replace"))
