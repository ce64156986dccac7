"""Questions about what an image must not carry: logins, keys, identities of one machine, leftovers of a build."""

from collections.abc import Callable, Iterable, Mapping

from hyops_assets.image.credentials import (
    Hash,
    has_hardware_id,
    hashes_in_accounts,
    hashes_in_config,
    is_disabled,
    keys_in_config,
    plaintext_in_config,
    well_known,
)
from hyops_assets.image.inspection import router_paths
from hyops_assets.image.inspection.cloud_config import values_named
from hyops_assets.image.inspection.view import Fault, View

_NO_MACHINE_ID = (b"", b"uninitialized")
_CLOUD_LOGS = ("/var/log/cloud-init.log", "/var/log/cloud-init-output.log")
_NET_RULES = "/etc/udev/rules.d/70-persistent-net.rules"
_APT_LEFTOVERS = ("/var/cache/apt/", "/var/lib/apt/lists/", "/var/log/apt/", "/etc/apt/sources.list.d/")
_APT_FILES = ("/etc/resolv.conf", "/etc/apt/sources.list", "/var/log/dpkg.log")
_CLOUD_HASHES = frozenset({"passwd", "hashed_passwd"})
_CLOUD_PLAINTEXT = frozenset({"plain_text_passwd", "password"})
_CLOUD_KEYS = frozenset({"ssh_authorized_keys", "ssh_import_id", "ssh_keys"})


def no_default_credentials(view: View) -> str:
    """No configuration and no account of the image has a password, least of all one that everyone knows."""
    found = [
        (path, hashed)
        for path, config in router_paths.all_configurations(view.guest)
        for hashed in hashes_in_config(config)
    ]
    for path in router_paths.accounts(view.guest):
        accounts = hashes_in_accounts(view.guest.text(path), shadowed=path.startswith("/etc/passwd"))
        found += [(path, hashed) for hashed in accounts]
    of_cloud = [(path, Hash(f"the key {key}", value)) for path, key, value in _cloud_values(view, _CLOUD_HASHES)]
    found += [(path, hashed) for path, hashed in of_cloud if not is_disabled(hashed.value)]
    if found:
        known = well_known([hashed for _, hashed in found])
        raise Fault("; ".join(f"{path}: {_described(hashed, known)}" for path, hashed in found))
    return "no usable password"


def no_plaintext_password(view: View) -> str:
    """No password stands in clear in the image: in no configuration of VyOS, and in none of cloud-init."""
    found = [
        f"{path}: {user}"
        for path, config in router_paths.all_configurations(view.guest)
        for user in plaintext_in_config(config)
    ]
    found += [f"{path}: {key}" for path, key, _ in _cloud_values(view, _CLOUD_PLAINTEXT)]
    for path, config in view.cloud_config.files.items():
        changed = config.get("chpasswd")
        found += [f"{path}: chpasswd"] if isinstance(changed, dict) and changed.get("list") else []
    return _none(found)


def no_authorized_keys(view: View) -> str:
    """No account of the image accepts an SSH key."""
    found = [path for path in view.guest.paths if router_paths.is_key_file(path) and view.guest.find(path)]
    found += [
        f"{path}: {key}"
        for path, config in router_paths.all_configurations(view.guest)
        for key in keys_in_config(config)
    ]
    found += [f"{path}: {key}" for path, key, _ in _cloud_values(view, _CLOUD_KEYS)]
    return _none(found)


def no_host_keys(view: View) -> str:
    """The image carries no SSH host key: all machines made of it would share it."""
    return _none(
        path for path, kind in view.guest.paths.items() if kind != "directory" and router_paths.is_host_key(path)
    )


def no_machine_id(view: View) -> str:
    """The image carries no machine-id, DUID, lease or secret of one system: every machine made of it gets its own."""
    kept = [path for path in router_paths.IDENTITIES if (view.guest.find(path) or b"").strip() not in _NO_MACHINE_ID]
    return _none([*kept, *router_paths.files_of_one_machine(view.guest)])


def no_hardware_id(view: View) -> str:
    """No configuration binds an interface to one machine's hardware address."""
    bound = [path for path, config in router_paths.all_configurations(view.guest) if has_hardware_id(config)]
    return _none([*bound, *([_NET_RULES] if view.guest.find(_NET_RULES) else [])])


def no_cloud_instance_state(view: View) -> str:
    """cloud-init has not run in the image, wherever it keeps its state: each machine's first boot is one."""
    configured = view.cloud_config.at("system_info", "paths", "cloud_dir")
    directories = {*router_paths.CLOUD_STATE, *([configured] if isinstance(configured, str) and configured else [])}
    reached = {view.guest.resolve(directory) or directory for directory in directories}
    state = [path for directory in reached for path in view.guest.files_below(directory)]
    ledgers = [f"{directory}/{router_paths.LEDGER}" for directory in router_paths.CONFIG_DIRECTORIES]
    return _none({*state, *(path for path in (*_CLOUD_LOGS, *ledgers) if view.guest.resolve(path))})


def no_files_of_one_router(view: View) -> str:
    """No key, certificate or boot script of one router stands beside the configuration, nor a store to hide them.

    Nor does a private key stand elsewhere among settings, or in a home.
    """
    hidden = [path for path in view.files.tree if f"{path}/".startswith(f"{router_paths.ENCRYPTED_STORE}/")]
    return _none({*router_paths.files_of_one_router(view.guest), *router_paths.private_keys(view.guest), *hidden})


def no_build_leftovers(view: View) -> str:
    """The overlay carries no name server, package source, list, log or history of the machine that built it."""
    left = [
        path
        for path, entry in view.guest.upper.items()
        if entry.kind == "file" and (path in _APT_FILES or path.startswith(_APT_LEFTOVERS))
    ]
    return _none([*left, *router_paths.histories(view.guest)])


CHECKS: dict[str, Callable[[View], str]] = {
    check.__name__: check
    for check in (
        no_default_credentials,
        no_plaintext_password,
        no_authorized_keys,
        no_host_keys,
        no_machine_id,
        no_hardware_id,
        no_cloud_instance_state,
        no_files_of_one_router,
        no_build_leftovers,
    )
}


def _cloud_values(view: View, names: frozenset[str]) -> list[tuple[str, str, str]]:
    """Return what cloud-init's files say under these keys: file, key, and the value where it is a text."""
    return [
        (path, key, value if isinstance(value, str) else "(no text)")
        for path, config in view.cloud_config.files.items()
        for key, value in values_named(dict(config), names)
        if value
    ]


def _described(hashed: Hash, known: Mapping[str, bool | None]) -> str:
    if not hashed.value:
        return f"{hashed.owner} needs no password"
    return f"{hashed.owner} has a password{', one that everyone knows' if known.get(hashed.value) else ''}"


def _none(found: Iterable[str]) -> str:
    paths = sorted(found)
    if paths:
        raise Fault(", ".join(paths[:10]) + (f" and {len(paths) - 10} more" if len(paths) > 10 else ""))
    return "none"
