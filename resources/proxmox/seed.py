"""Seeding one record as one template: look up, adopt, resume, or create; the mark `ready` is the last write.

Every step can be killed. What a killed run left is found by its lineage (`survey.py`) and finished or removed by
the next; a machine that is not provably ours is never touched. A template is never replaced: each record gets a
VMID of its own from the site's range.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Record
from hyops_assets.contract.seeding import Outcome, SeedRequest
from hyops_assets.contract.site_settings import ProxmoxSite
from hyops_assets.contract.urls import require_contract_url
from resources.proxmox.building import Build
from resources.proxmox.client import ProxmoxClient
from resources.proxmox.errors import AnswerLost, SeedBusy, SeedFailed, TaskFailed
from resources.proxmox.journal import Journal, SeedLimits
from resources.proxmox.lineage import TemplateLineage, description_of, tags_of
from resources.proxmox.preflight import require_readable, require_version, require_writable
from resources.proxmox.smoke import boot_a_clone, remove_clone
from resources.proxmox.survey import Standing, TemplateFacts, active_tasks, audit, survey

IsLive = Callable[[str], bool | None]


@dataclass(frozen=True)
class SeededTemplate:
    """A complete template of the record, and how it came to be there.

    Attributes:
        outcome: created, adopted (nothing was changed), or resumed (a killed run's work was finished).
        volid: the template's disk; `disk_size_bytes` is what a guest sees.
        bytes_transferred: bytes of the image that went to the node in this seed; 0 where it had them.
        smoke: `off` where the site turned the gate off; of an adopted template, what its own seed had.
        verified: what was compared with what, and by whom.
        timings: seconds per step.
    """

    outcome: Outcome
    vmid: int
    name: str
    node: str
    volid: str
    disk_size_bytes: int
    lineage: TemplateLineage
    upids: tuple[str, ...]
    bytes_transferred: int
    smoke: Literal["passed", "off"]
    verified: Mapping[str, str]
    warnings: tuple[str, ...]
    timings: Mapping[str, float]


class ProxmoxSeeder:
    """Seeds records at one site, and answers what stands there.

    Args:
        client: the API of the site's node.
        site: node, storages, bridge, range of VMIDs, gates.
        limits: how long to wait for what.
        is_live: tells whether another run is still at work, so that its machine is not taken for a leftover.
    """

    def __init__(
        self,
        client: ProxmoxClient,
        site: ProxmoxSite,
        *,
        limits: SeedLimits | None = None,
        is_live: IsLive = lambda run_id: False,
    ) -> None:
        self.client = client
        self.site = site
        self.limits = limits or SeedLimits()
        self._is_live = is_live

    def find(self, record: Record) -> TemplateFacts | None:
        """Return the complete template of a record, the one with the lowest VMID; None where there is none.

        Raises:
            SiteNotReady: the token cannot see templates, so that nothing can be said.
        """
        require_readable(self.client)
        complete = survey(self.client, record, "").complete
        return complete[0] if complete else None

    def audit(self, vmid: int) -> TemplateFacts:
        """Read one machine, as the lineage check compares it with its record.

        Raises:
            NoSuchObject: there is none with this VMID on the site's node.
        """
        return audit(self.client, vmid)

    def seed(self, request: SeedRequest, *, progress: Progress = silent) -> SeededTemplate:
        """Have exactly one complete template of the request's record on the site.

        A complete one is adopted with no changing call. Otherwise the image is brought, a machine created under a
        new VMID, converted, booted once as a clone (unless the site turns that off), and marked `ready`.

        Raises:
            Refused: the record may not be seeded here (a lab's record, a record without a qcow2, a bad URL).
            SiteNotReady: the site lacks something; nothing was changed.
            TaskFailed: a worker of the node failed.
            SeedFailed: what stands after a step is not what the step should leave.
            SeedBusy: another live run is at this seed.
            TransientError: the node was silent or a worker was killed; a later attempt resumes.
        """
        self._require_seedable(request)
        journal = Journal(self.client, self.limits, progress)
        with journal.step("preflight"):
            version = require_version(self.client)
            require_readable(self.client)
        with journal.step("find"):
            self._await_running(journal, request.record)
            standing = survey(self.client, request.record, request.seed_id)
            self._warn(journal, standing)
            self._require_idle(standing, request.run_id)
        if standing.complete and not standing.smoke_clones and not standing.unfinished:
            return self._report("adopted", standing.complete[0], journal, sent=0)
        with journal.step("reap"):
            for clone in standing.smoke_clones:
                remove_clone(self.client, journal, clone.vmid)
            spare = standing.unfinished if standing.complete else standing.unfinished[1:]
            for machine in spare:
                self._reap(journal, machine, request.seed_id)
        if standing.complete:
            return self._report("resumed", standing.complete[0], journal, sent=0)
        build = Build(self.client, journal, request)
        with journal.step("preflight"):
            route = "upload" if build.private_file else "download"
            require_writable(self.client, route=route, version=version, needed_bytes=request.record.disk.size_bytes)
        return self._finish(build, journal, standing)

    def _finish(self, build: Build, journal: Journal, standing: Standing) -> SeededTemplate:
        """Take the steps that are left, from the first or from where a killed run was."""
        outcome: Outcome = "resumed" if standing.unfinished or standing.smoke_clones else "created"
        sent = 0
        if standing.unfinished:
            machine = build.require_disk(standing.unfinished[0].vmid)
        else:
            with journal.step("image"):
                sent = build.bring_image()
            with journal.step("create"):
                machine = build.create(standing.taken)
        with journal.step("template"):
            template = build.convert(machine.vmid)
        lineage = build.lineage(machine.vmid)
        smoke: Literal["passed", "off"] = "passed" if self.site.template_smoke_gate else "off"
        if smoke == "passed":
            with journal.step("smoke"):
                boot_a_clone(self.client, journal, template, lineage)
        with journal.step("commit"):
            ready = {"state": "ready", "expires": None, "seeded_at": datetime.now(UTC), "smoke": smoke}
            template = self._commit(template, lineage.model_copy(update=ready), build.request.record)
        return self._report(outcome, template, journal, sent=sent)

    def _commit(self, template: TemplateFacts, lineage: TemplateLineage, record: Record) -> TemplateFacts:
        """Mark the template ready and read it back: from here on it is adopted, never touched."""
        # Where the answer is lost, what was written is read back below, and that decides.
        with suppress(AnswerLost):
            self.client.ensure_config(
                template.vmid, description=description_of(lineage), tags=tags_of(record), digest=template.digest
            )
        committed = audit(self.client, template.vmid)
        problems = committed.problems(record)
        if problems or committed.lineage != lineage:
            found = "; ".join(problems) or "its lineage is another"
            raise SeedFailed(
                f"VMID {template.vmid} is not the template that was committed: {found}",
                hint="run the seed again: it resumes",
            )
        return committed

    def _require_seedable(self, request: SeedRequest) -> None:
        record = request.record
        if record.lab and not self.site.lab:
            raise Refused(
                f"record {record.version} was made in a lab; site {request.site!r} is not one",
                hint="build the record from a signed VyOS release",
            )
        if "qcow2" not in record.variants:
            raise Refused(f"record {record.version} has no qcow2 variant", hint="publish the record's qcow2")
        require_contract_url(request.url, record.record_version)

    def _require_idle(self, standing: Standing, run_id: str) -> None:
        """Refuse to take over what a live run is building."""
        for facts in (*standing.unfinished, *standing.smoke_clones):
            other = facts.lineage.run_id if facts.lineage else run_id
            if other != run_id and self._is_live(other):
                raise SeedBusy(f"run {other} is seeding this record as VMID {facts.vmid}", hint="wait for it")

    def _await_running(self, journal: Journal, record: Record) -> None:
        """Wait for workers that a killed run left running; their failure is told by what they leave."""
        for task in active_tasks(self.client, record):
            try:
                journal.wait(task.type, task.upid)
            except TaskFailed as error:
                journal.warn(f"a task of an earlier seed failed: {error.message}")

    def _reap(self, journal: Journal, machine: TemplateFacts, seed_id: str) -> None:
        """Destroy an unfinished machine of this seed, after reading once more that it is one."""
        now = audit(self.client, machine.vmid)
        lineage = now.lineage
        ours = lineage is not None and (lineage.seed_id, lineage.vmid, lineage.state) == (
            seed_id,
            now.vmid,
            "building",
        )
        if ours and now.lock is None:
            journal.wait("reap", self.client.delete_machine(machine.vmid))

    def _warn(self, journal: Journal, standing: Standing) -> None:
        for facts in standing.stuck:
            journal.warn(
                f"VMID {facts.vmid} is locked (create) and no task works on it: on node {facts.node} run"
                f" qm unlock {facts.vmid} && qm destroy {facts.vmid} --purge (a token may not)"
            )
        for facts in standing.broken:
            journal.warn(f"VMID {facts.vmid} claims to be this record's template but is left alone: it is incomplete")
        if len(standing.complete) > 1:
            vmids = ", ".join(str(facts.vmid) for facts in standing.complete)
            journal.warn(f"the record has more than one complete template: {vmids}; the first is used")

    def _report(self, outcome: Outcome, template: TemplateFacts, journal: Journal, *, sent: int) -> SeededTemplate:
        lineage, volid, size = template.lineage, template.volid, template.disk_size_bytes
        if lineage is None or volid is None or size is None:
            raise SeedFailed(f"VMID {template.vmid} vanished while it was read", hint="run the seed again")
        smoke = lineage.smoke or "off"
        if smoke == "off" and self.site.template_smoke_gate:
            journal.warn(f"VMID {template.vmid} was seeded while the site's smoke gate was off: no clone was booted")
        return SeededTemplate(
            outcome=outcome,
            vmid=template.vmid,
            name=template.name or "",
            node=template.node,
            volid=volid,
            disk_size_bytes=size,
            lineage=lineage,
            upids=tuple(journal.upids),
            bytes_transferred=sent,
            smoke=smoke,
            verified=_verified(lineage, size, smoke),
            warnings=tuple(journal.warnings),
            timings=dict(journal.timings),
        )


def _verified(lineage: TemplateLineage, size: int, smoke: str) -> dict[str, str]:
    """Say which digest was compared where. The API reads no disk back, and this does not pretend that it did."""
    return {
        "image": f"sha256 {lineage.qcow2_sha256} of the qcow2, computed by the node before the import",
        "disk": f"{size} bytes on the storage; its content was copied from that qcow2 by the node and not read back",
        "lineage": "description read back from the node after the commit",
        "smoke": "a clone booted and its guest agent answered" if smoke == "passed" else "gate off: nothing booted",
    }
