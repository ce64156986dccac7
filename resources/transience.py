"""What passes by itself, in one place: the words and codes by which both clouds say "not now".

Every door asks here: the answer of a call, the exit status of a worker or of an action, and the end of its log. What
is in no table is permanent. The caller waits with the site's patience, and then fails with a transient error.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Passing:
    """A cause that passes.

    Attributes:
        words: how it is said, as a regular expression.
        cause: what it is, for a message.
        hint: what to do if it does not pass.
    """

    words: re.Pattern[str]
    cause: str
    hint: str


def _passing(words: str, cause: str, hint: str) -> Passing:
    return Passing(re.compile(words, re.IGNORECASE), cause, hint)


PROXMOX = (
    # pve-common, Tools.pm, `lock_file_full`; pve-cluster, Cluster.pm, `cfs_lock`. Neither has begun its work.
    _passing(
        r"can't (?:lock file|acquire lock)|cfs.lock|got lock request timeout|error with cfs lock",
        "a lock that somebody else holds",
        "see which task holds it (a backup, a migration, another seed), and try again when it has ended",
    ),
    # Cluster.pm, `check_cfs_quorum`, `check_cfs_is_mounted`, `cfs_lock` and the calls of IPCC; PVE/File.pm,
    # `file_set_contents` where the cluster's file system takes no write.
    _passing(
        r"no quorum|pve cluster filesystem not online|\(pmxcfs\) not mounted|ipcc_send_rec"
        r"|unable to load access control list"
        r"|'/etc/pve/[^']*' - (?:permission denied|device or resource busy|input/output error|read-only file system"
        r"|transport endpoint is not connected)",
        "a cluster without quorum, or whose file system starts anew",
        "bring the cluster back to quorum: pvecm status, systemctl status pve-cluster",
    ),
    # pve-storage, Storage.pm, `activate_storage`, and its plugins: a file server that is away is no empty one.
    _passing(
        r"storage '[^']*' is not online|unable to activate storage '[^']*' - directory"
        r"|connection check for storage '[^']*' failed",
        "a storage that is not reached",
        "see that the node reaches the storage: pvesm status",
    ),
    # RESTEnvironment.pm, `fork_worker`: it had not begun.
    _passing(
        r"got (?:no|strange) worker upid|unable to fork worker"
        r"|cannot allocate memory|resource temporarily unavailable",
        "a node that has no room for another process",
        "look at the node's memory and its processes, and try again",
    ),
    # QEMU's image locks: a backup or a check reads the image.
    _passing(
        r'failed to get (?:shared )?"[a-z ]+" lock|another process using the image',
        "an image that another program holds",
        "see which program holds it (a backup, another import), and try again when it has ended",
    ),
    # pve-guest-common, AbstractConfig.pm, `check_lock`: locks that end with the task that set them.
    _passing(
        r"is locked \((?:backup|clone|disk|migrate|rollback|snapshot|snapshot-delete)\)",
        "a task that holds the machine",
        "wait for the task that holds it",
    ),
    # Commands of a storage or of QEMU that a busy node did not finish (Tools.pm, `run_with_timeout`).
    _passing(
        r"got timeout|timed out|timeout: no zvol|timeout after \d+ retries",
        "a busy node",
        "look at the node's load and its storages, and try again",
    ),
    # wget's exit status 4: no connection to the source, or one that broke.
    _passing(r"wget.*failed: exit code 4\b", "a source that was not reached", "see that the node reaches the source"),
)
"""How Proxmox VE says it. A worker that was killed is another case: that one has begun its work."""

HETZNER_CODES = frozenset(
    {
        "conflict",
        "timeout",
        "unavailable",
        "server_error",
        "service_error",
        "maintenance",
        "bad_gateway",
        "unknown_error",
    }
)
"""Error codes of Hetzner's API for what a later attempt may be granted."""

STALE_OFFERS = frozenset({"resource_unavailable", "placement_error", "invalid_server_type"})
"""Error codes for a server that is not to be had there and now: another kind, or another place, may be."""

_UNTELLING = frozenset({"invalid_input", "action_failed", "server_error", "unknown_error"})
"""Error codes that say nothing of the cause."""

_STALE_OFFER = re.compile(
    r"unsupported location for server type|error during placement|location disabled|can no longer be ordered"
    r"|server type .*(?:is deprecated|unavailable|not available|not supported)",
    re.IGNORECASE,
)


def passing(table: Iterable[Passing], *texts: str) -> Passing | None:
    """Return why what is said will pass, if it will."""
    return next((entry for entry in table for text in texts if entry.words.search(text)), None)


def stale_offer(code: object, message: str) -> bool:
    """Whether Hetzner refuses one offer and not the request: in an answer, or in the action of a server it had taken.

    A type that was withdrawn since the offers were listed has no code of its own: 422 `invalid_input`, and a sentence.
    An action's code is any text in the published schema, mostly `action_failed`: there, too, the sentence counts.
    """
    return code in STALE_OFFERS or (code in _UNTELLING and _STALE_OFFER.search(message) is not None)
