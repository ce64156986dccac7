"""What Proxmox VE said no to, as types. A cause is recognised by status and reason phrase, where the text travels."""

import re
from collections.abc import Mapping

from hyops_assets.contract.errors import HyopsError, Refused, TransientError
from hyops_assets.contract.printable import one_line
from resources.transience import PROXMOX, passing


class ProxmoxError(HyopsError):
    """A call was answered with an error.

    Attributes:
        status: the HTTP status.
        reason: the text of the HTTP reason phrase.
        fields: a message for every parameter that was refused.
    """

    def __init__(
        self,
        call: str,
        status: int,
        reason: str,
        fields: Mapping[str, str] | None = None,
        *,
        hint: str = "look at the node's task log and syslog",
    ) -> None:
        self.status = status
        self.reason = reason
        self.fields = dict(fields or {})
        detail = "".join(f"; {name}: {text}" for name, text in self.fields.items())
        super().__init__(f"{call}: {status} {one_line(reason + detail)}", hint=hint)


class TokenRefused(ProxmoxError):
    """401: the token is unknown, wrong, expired, of another realm or of a disabled user. Which, is not said."""


class PrivilegeMissing(ProxmoxError):
    """403: the token lacks a privilege; the reason names it."""


class MachineExists(ProxmoxError):
    """The VMID was taken between choosing it and creating it, or by the same call before."""


class NoSuchObject(ProxmoxError):
    """The machine, volume or task is not there."""


class MachineLocked(ProxmoxError):
    """A worker holds the machine, or died while it did."""


class StillLinked(ProxmoxError):
    """A template's disk is the base of linked clones."""


class ConfigChanged(ProxmoxError):
    """A machine's configuration is not the one that was read: somebody wrote it in between. Nothing was written."""


class AlreadyTemplate(ProxmoxError):
    """The machine was converted in between."""


class NotTheApi(HyopsError):
    """Something else than Proxmox' API answered: a proxy, a login page, another program on the port."""


class NodeUnreachable(TransientError):
    """The node did not take the call: nothing was changed by it."""


class NodeBusy(NodeUnreachable):
    """The node did not take the call now: a lock is held, or the cluster has no quorum. Nothing was changed."""


class HostUnknown(NodeUnreachable):
    """The site's host has no address here: a wrong name, or DNS that does not answer."""


class AnswerLost(TransientError):
    """The call was sent and no answer came: it may or may not have taken effect."""


class NotTrusted(HyopsError):
    """The node's TLS certificate is not taken: of an unknown authority, another host, or another time."""


class TaskFailed(HyopsError):
    """A worker ended with something else than OK or warnings."""

    def __init__(self, upid: str, exitstatus: str, log: list[str]) -> None:
        self.upid = upid
        self.exitstatus = exitstatus
        tail = "".join(f"\n  | {one_line(line)}" for line in log)
        super().__init__(f"task {upid} ended with: {one_line(exitstatus)}{tail}", hint=_task_hint(exitstatus))


class TaskInterrupted(TaskFailed, TransientError):
    """A worker was killed with its node or by an operator: a later attempt starts it again."""


class TaskBusy(TaskFailed, TransientError):
    """A worker did not get a lock, or the cluster had no quorum: it left nothing, and may be started again."""


class LeftoverVolume(TaskFailed):
    """A volume that a machine needs is there already, and belongs to no machine: one that was killed left it."""


class ImageMismatch(TaskFailed):
    """Bytes that are not the record's: under the image's name on the import storage, or at its source."""


class TaskLost(TransientError):
    """The node no longer knows a worker: what it left is looked up by a later attempt."""


class TaskSlow(TransientError):
    """A worker did not end in time. It still runs; a later attempt waits for it."""


class DiskUnseen(TransientError):
    """A storage does not show a disk that must be there. It may be late: not seen is not gone."""


class SiteNotReady(Refused):
    """The site cannot take a seed: everything it lacks is named, and nothing was changed."""


class SeedBusy(TransientError):
    """Another run is at work on the same seed; its machine is no leftover."""


class TemplateMissing(Refused):
    """The site has no template of the record, and none may be made."""


class TemplateChanged(Refused):
    """A template of the record is not what its seed left: somebody changed it. It was left alone."""


class VmidTaken(Refused):
    """What stands under a VMID may not be replaced by this seed; it was left alone."""


class SeedFailed(HyopsError):
    """What stands on the site after a step is not what the step should have left."""


VOLUME_TAKEN = re.compile(r"vm-\d+-.*(?:already exists|File exists)")
"""A directory, LVM, ZFS and RBD word it differently (pve-storage, `alloc_image` of each plugin, and their tools)."""

_NOT_TAKEN = frozenset({429, 503, 595})
"""The call was not taken: a proxy that is overloaded, or a connection that was not established."""

_UNCLEAR = frozenset({502, 504, 596, 597, 598, 599})
"""The connection broke on the way (595 to 599 are AnyEvent::HTTP's own): what was asked for may have been done."""

_NO_WAY = re.compile(r"hostname lookup '.*' failed|did not find any IP address|unable to get remote IP address")
"""The call was not passed on: the cluster has no address for the node, which may have left it with its machines'
configurations still there (pve-manager, HTTPServer.pm, `remote_node_ip`; pve-common, `get_ip_from_hostname`)."""

_KINDS: tuple[tuple[type[ProxmoxError], str, str], ...] = (
    (MachineExists, r"\b(?:VM|CT) \d+ already exists|config file already exists", "take another VMID"),
    (ConfigChanged, r"checksum mismatch \(file change by other user|detected modified configuration", "try again"),
    (AlreadyTemplate, r"can't convert a template to a template", "look at it, then seed again"),
    (MachineLocked, r"is locked \(", "wait for its task; if none runs: qm unlock <vmid> on the node"),
    (StillLinked, r"still in use by linked clone", "keep the template until its clones are gone"),
    (
        NoSuchObject,
        r"does not exist|no such (?:task|volume)|unable to find configuration file|can't get size of|has size zero",
        "list what the node has",
    ),
)


def error_for(
    call: str, status: int, reason: str, fields: Mapping[str, str] | None, *, changing: bool = False
) -> HyopsError:
    """Return the typed error of an answer.

    Args:
        call: method and path, never a parameter.
        status: of the answer.
        reason: its reason phrase, or more of the text.
        fields: a message for every parameter that was refused.
        changing: whether the call asked for a change.
    """
    texts = " ".join((reason, *(fields or {}).values()))
    if status == 401:
        return TokenRefused(
            call,
            status,
            reason,
            hint="check the token's id and realm, the variable that holds its secret, when it expires, and that its "
            "user is enabled: pveum user token list <user>",
        )
    if status == 403:
        return PrivilegeMissing(call, status, reason, fields, hint=_privilege_hint(reason))
    if status in _NOT_TAKEN or status in _UNCLEAR:
        if changing and status in _UNCLEAR:
            return AnswerLost(f"{call}: {status} {reason}", hint="look whether it took effect, then try again")
        return NodeUnreachable(f"{call}: {status} {reason}", hint="check that the node is up and try again")
    if _NO_WAY.search(texts):
        return NodeUnreachable(
            f"{call}: {status} {reason}", hint="see that the node is still one of the cluster, and up: pvecm nodes"
        )
    now = passing(PROXMOX, texts)
    if now is not None:
        return NodeBusy(f"{call}: {status} {reason} ({now.cause})", hint=now.hint)
    for kind, words, hint in _KINDS:
        if re.search(words, texts):
            return kind(call, status, reason, fields, hint=hint)
    return ProxmoxError(call, status, reason, fields)


def _privilege_hint(reason: str) -> str:
    if "pool" in reason and "does not exist" in reason:
        return "correct the site's pool, or make it: pveum pool add <pool>"
    return "grant it to the token: pveum acl modify <path> --tokens <token> --roles <role>"


def leftovers_gone(vmid: int) -> str:
    """Return what root runs on the node to be rid of a machine that was killed while it was made, volumes included.

    Its configuration holds nothing but the lock, so that no volume is destroyed with it unless that is asked for.
    """
    return f"qm unlock {vmid} && {destroyed_by_hand(vmid)}"


def destroyed_by_hand(vmid: int) -> str:
    """Return what root runs on the node to be rid of a machine and all its volumes."""
    return f"qm destroy {vmid} --purge --destroy-unreferenced-disks 1"


def _task_hint(exitstatus: str) -> str:
    now = passing(PROXMOX, exitstatus)
    if now is not None:
        return now.hint
    if "checksum mismatch" in exitstatus and "aborting" in exitstatus:
        return "another file lies on the import storage under this name: look at it, pvesm free it, seed again"
    if "checksum mismatch" in exitstatus:
        return "the source does not hold the record's bytes: see who changed it; compare it with the record's digest"
    if "certificate" in exitstatus:
        return "the node does not trust the source's certificate: see its authorities, and compare clocks"
    if any(words in exitstatus.lower() for words in ("no space left", "insufficient free space", "not enough")):
        return "the storage is full: free some space on it, then seed again"
    if "unexpected status" in exitstatus or "interrupted" in exitstatus:
        return "the worker was killed: run the seed again"
    if VOLUME_TAKEN.search(exitstatus):
        return "a machine that is gone left this volume: pvesm list and pvesm free on the node, or name another VMID"
    if "Permission check failed" in exitstatus:
        return "grant it to the token: the role of docs/proxmox.md"
    return "read the task's log above, and in the node's task viewer"
