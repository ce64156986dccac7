"""What Proxmox VE said no to, as types. A cause is recognised by status and reason phrase, where the text travels."""

from collections.abc import Mapping

from hyops_assets.contract.errors import HyopsError, Refused, TransientError


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
        super().__init__(f"{call}: {status} {reason}{detail}", hint=hint)


class TokenRefused(ProxmoxError):
    """401: the token is unknown, wrong or expired."""


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


class NodeUnreachable(TransientError):
    """The node did not take the call: nothing was changed by it."""


class HostUnknown(NodeUnreachable):
    """The site's host has no address here: a wrong name, or DNS that does not answer."""


class AnswerLost(TransientError):
    """The call was sent and no answer came: it may or may not have taken effect."""


class NotTrusted(HyopsError):
    """The node's TLS certificate is not taken: signed by nobody we trust, of another host, or of another time."""


class TaskFailed(HyopsError):
    """A worker ended with something else than OK or warnings."""

    def __init__(self, upid: str, exitstatus: str, log: list[str]) -> None:
        self.upid = upid
        self.exitstatus = exitstatus
        tail = "".join(f"\n  | {line}" for line in log)
        super().__init__(f"task {upid} ended with: {exitstatus}{tail}", hint=_task_hint(exitstatus))


class TaskInterrupted(TaskFailed, TransientError):
    """A worker was killed with its node or by an operator: a later attempt starts it again."""


class ImageMismatch(TaskFailed):
    """Bytes that are not the record's: under the image's name on the import storage, or at its source."""


class TaskLost(TransientError):
    """The node no longer knows a worker: what it left is looked up by a later attempt."""


class TaskSlow(TransientError):
    """A worker did not end in time. It still runs; a later attempt waits for it."""


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


def error_for(call: str, status: int, reason: str, fields: Mapping[str, str] | None) -> HyopsError:
    """Return the typed error of an answer. `call` names method and path, never a parameter."""
    texts = " ".join((reason, *(fields or {}).values()))
    for kind, applies, hint in (
        (TokenRefused, status == 401, "check the token's id and the variable that holds its secret"),
        (
            PrivilegeMissing,
            status == 403,
            "grant it to the token: pveum acl modify <path> --tokens <token> --roles <role>",
        ),
        (MachineExists, "already exists" in texts, "take another VMID"),
        (NoSuchObject, "does not exist" in texts or "no such task" in texts, "list what the node has"),
        (MachineLocked, "is locked" in texts, "wait for its task; if none runs: qm unlock <vmid> on the node"),
        (StillLinked, "still in use by linked clone" in texts, "keep the template until its clones are gone"),
    ):
        if applies:
            return kind(call, status, reason, fields, hint=hint)
    if status in {502, 503, 504, 595, 596, 597, 598, 599}:
        # AnyEvent's statuses: the API's proxy did not reach the node that should answer.
        return NodeUnreachable(f"{call}: {status} {reason}", hint="check that the node is up and try again")
    if "got timeout" in texts:
        # Proxmox' own words for a file lock that it did not get; nothing was written.
        return NodeUnreachable(f"{call}: {status} {reason}", hint="the node is busy: try again")
    return ProxmoxError(call, status, reason, fields)


def _task_hint(exitstatus: str) -> str:
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
    return "read the task's log above, and in the node's task viewer"
