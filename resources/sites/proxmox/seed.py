"""Seeding one record as one template: look up, adopt, resume, or create; the mark `ready` is the last write.

Every step can be killed. What a killed run left is found by its lineage (`survey.py`) and finished or removed by
the next; a machine that is not provably ours is never touched. Each record gets a VMID of its own from the site's
range; where an operator names one that another template of ours holds, that one goes after its successor stands.
"""

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.ownership import OURS, Owner
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Record
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.seed_policy import clock
from hyops_assets.contract.seeding import Outcome, SeedRequest
from hyops_assets.contract.upkeep import IsLive
from hyops_assets.contract.urls import require_contract_url
from hyops_assets.settings.sites import ProxmoxSite
from resources.sites.proxmox.building import Build, commit
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import NoSuchObject, SeedBusy, SeedFailed, TaskFailed, leftovers_gone
from resources.sites.proxmox.facts import TemplateFacts, audit, linked_clones
from resources.sites.proxmox.preflight import require_readable, require_version, require_writable
from resources.sites.proxmox.replacing import remove_replaced, remove_superseded, require_unlinked
from resources.sites.proxmox.report import SeededTemplate, report
from resources.sites.proxmox.seed_plan import Plan, plan_of, scratch_for
from resources.sites.proxmox.smoke import boot_a_clone, remove_clone
from resources.sites.proxmox.survey import IsOurs, Survey, active_tasks, survey
from resources.sites.proxmox.tasks import NodeJournal


class ProxmoxSeeder:
    """Seeds records at one site, and answers what stands there.

    Args:
        client: the API of the site's node.
        site: node, storages, bridge, range of VMIDs, gates.
        is_live: tells whether another run is still at work, so that its machine is not taken for a leftover.
    """

    def __init__(
        self,
        client: ProxmoxClient,
        site: ProxmoxSite,
        *,
        is_live: IsLive = lambda run_id: False,
    ) -> None:
        self.client = client
        self.site = site
        self._is_live = is_live

    def find(self, record: Record) -> TemplateFacts | None:
        """Return the complete template of a record, as a seed would adopt it; None where there is none.

        Raises:
            SiteNotReady: the token cannot see templates, so that nothing can be said.
        """
        require_readable(self.client)
        complete = survey(self.client, record, "", is_ours=lambda lineage: False).complete
        return complete[0] if complete else None

    def outlook(self, record: Record, options: TemplateOptions, environment: str | None = None) -> Plan:
        """Return what a seed would do; reads only.

        Args:
            record: the record.
            options: what is asked for.
            environment: the id of the one that would seed; None where it has none yet.

        Raises:
            VmidTaken, TemplateChanged, TemplateMissing: it would be refused.
            SiteNotReady: the token cannot see templates, so that nothing can be said.
        """
        require_readable(self.client)
        client = self.client.at(_site_of(self.site, options))
        asked = SeedRequest(record=record, url="", run_id="", site="", environment=environment)
        standing = survey(client, record, "", is_ours=self._ours(asked), wanted=options.template_vm_id)
        return plan_of(standing, record, options)

    def audit(self, vmid: int) -> TemplateFacts:
        """Read one machine, as the lineage check compares it with its record.

        Raises:
            NoSuchObject: there is none with this VMID that the token may see.
        """
        return audit(self.client, vmid)

    def seed(
        self, request: SeedRequest, options: TemplateOptions | None = None, *, progress: Progress = silent
    ) -> SeededTemplate:
        """Have exactly one complete template of the request's record on the site.

        A complete one is adopted with no changing call. Otherwise the image is brought, a machine created under a
        new VMID, converted, booted once as a clone (unless the site turns that off), and marked `ready`.

        Raises:
            Refused: the record may not be seeded here (a lab's record, a record without a qcow2, a bad URL).
            SiteNotReady: the site lacks something; nothing was changed.
            VmidTaken, TemplateChanged, TemplateMissing: what stands there does not allow what was asked for.
            TaskFailed: a worker of the node failed.
            SeedFailed: what stands after a step is not what the step should leave.
            SeedBusy: another live run is at this seed.
            TransientError: the node was silent or a worker was killed; a later attempt resumes.
        """
        options = options or TemplateOptions()
        self._require_seedable(request)
        client = self.client.at(_site_of(self.site, options))
        journal = NodeJournal(client, progress=progress)
        with journal.step("preflight"):
            version = require_version(client)
            require_readable(client)
        with journal.step("find"):
            named = frozenset(filter(None, (options.template_vm_id, options.template_smoke_vmid)))
            self._await_running(journal, request.record, named)
            standing = survey(
                client,
                request.record,
                request.seed_id,
                is_ours=self._ours(request),
                wanted=options.template_vm_id,
            )
            self._warn(journal, standing)
            self._require_idle(standing, request.run_id)
            plan = plan_of(standing, request.record, options)
        if plan.adopt is not None:
            return self._adopt(plan, plan.adopt, standing, journal, request)
        self._require_alone(standing)
        build = Build(client, journal, request, options)
        with journal.step("preflight"):
            route = "upload" if build.private_file else "download"
            needed = request.record.disk.size_bytes * (2 if plan.replaces and not plan.scratch else 1)
            require_writable(client, route=route, version=version, needed_bytes=needed, options=options)
            if plan.replaces is not None:
                require_unlinked(client, plan.replaces)
        self._reap(journal, plan, standing, request)
        return self._carry_out(plan, build, standing)

    def _adopt(
        self, plan: Plan, template: TemplateFacts, standing: Survey, journal: NodeJournal, request: SeedRequest
    ) -> SeededTemplate:
        superseded = [scratch for scratch in plan.superseded if not linked_clones(journal.client, scratch)]
        changes = bool(superseded or plan.spare or standing.smoke_clones)
        self._reap(journal, plan, standing, request)
        with journal.step("reap"):
            for scratch in superseded:
                remove_superseded(journal.client, journal, scratch, template, is_ours=self._ours(request))
        gate, owner = journal.client.site.template_smoke_gate, self._owner(request, template)
        return report("resumed" if changes else "adopted", template, journal, owner=owner, gate=gate)

    def _carry_out(self, plan: Plan, build: Build, standing: Survey) -> SeededTemplate:
        """Make what is missing; where a template is replaced, its successor stands before it goes."""
        client, journal, scratch = build.client, build.journal, plan.scratch
        is_ours = self._ours(build.request)
        replaced = ""
        if plan.replaces is not None:
            if scratch is None:
                successor = replace(build, scratch_for=plan.at)
                scratch = self._make(successor, plan.resume_scratch, standing, at=None)
                build.sent = successor.sent
            with journal.step("replace"):
                remove_replaced(client, journal, plan.replaces, build.request.record, is_ours=is_ours)
            replaced = plan.replaces.lineage.version if plan.replaces.lineage else ""
        template = self._make(build, plan.resume, standing, at=plan.at)
        if scratch is not None:
            with journal.step("replace"):
                remove_superseded(client, journal, scratch, template, is_ours=is_ours)
        outcome: Outcome = "resumed" if plan.resumes or standing.smoke_clones else "created"
        gate = client.site.template_smoke_gate
        return report(outcome, template, journal, owner=OURS, gate=gate, sent=build.sent or 0, replaced=replaced)

    def _make(self, build: Build, begun: TemplateFacts | None, standing: Survey, *, at: int | None) -> TemplateFacts:
        """Take the steps that are left, from the first or from where a killed run was; return the ready template."""
        client, journal = build.client, build.journal
        if begun is not None:
            with journal.step("resume"):
                vmid = begun.vmid
                build.take_over(vmid)
        else:
            with journal.step("image"):
                build.bring_image()
            with journal.step("create"):
                vmid = build.create(standing.taken, at=at).vmid
        with journal.step("tags"):
            build.tag(vmid)
        with journal.step("template"):
            template = build.convert(vmid)
        lineage = build.lineage(vmid)
        smoke: Literal["passed", "off"] = "passed" if client.site.template_smoke_gate else "off"
        if smoke == "passed":
            with journal.step("smoke"):
                boot_a_clone(client, journal, template, lineage, build.options)
        with journal.step("commit"):
            ready = {
                "state": "ready",
                "expires": None,
                "seeded_at": datetime.now(UTC),
                "smoke": smoke,
                "hardware": template.hardware,
            }
            return commit(client, template, lineage.model_copy(update=ready), build.request.record)

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

    def _require_idle(self, standing: Survey, run_id: str) -> None:
        """Refuse to take over, or to make twice, what a live run is making."""
        scratches = [facts for facts in standing.complete if scratch_for(facts) is not None]
        for facts in (*standing.unfinished, *standing.smoke_clones, *standing.rivals, *scratches):
            other = facts.lineage.run_id if facts.lineage else run_id
            if other != run_id and self._is_live(other):
                raise SeedBusy(f"run {other} is seeding this record as VMID {facts.vmid}", hint="wait for it")

    def _require_alone(self, standing: Survey) -> None:
        """Refuse to make twice what another environment is making of the same record here.

        Raises:
            SeedBusy: it is, and its time is not over. What says no time would be waited for without an end.
        """
        for facts in standing.rivals:
            expires = facts.lineage.expires if facts.lineage is not None else None
            if facts.vmid in standing.others and expires is not None and expires > time.time():
                raise SeedBusy(
                    f"VMID {facts.vmid} may be another environment's seed of this record, at work until"
                    f" {clock(expires)}",
                    hint="seed again then: what is ready by then is adopted, as it stands",
                )

    def _ours(self, request: SeedRequest) -> IsOurs:
        return lambda lineage: request.owner_of(lineage.claim, is_live=self._is_live).ours

    def _owner(self, request: SeedRequest, template: TemplateFacts) -> Owner:
        if template.lineage is None:
            raise SeedFailed(f"VMID {template.vmid} vanished while it was read", hint="run the seed again")
        return request.owner_of(template.lineage.claim, is_live=self._is_live)

    def _await_running(self, journal: NodeJournal, record: Record, vmids: frozenset[int]) -> None:
        """Wait for workers that a killed run left running; their failure shows in what they leave."""
        for task in active_tasks(journal.client, record, vmids):
            try:
                journal.wait(task.type, task.upid)
            except TaskFailed as error:
                journal.warn(f"a task of an earlier seed failed: {error.message}")

    def _reap(self, journal: NodeJournal, plan: Plan, standing: Survey, request: SeedRequest) -> None:
        """Destroy what this seed left and is not needed, after reading once more that it is that."""
        with journal.step("reap"):
            for clone in standing.smoke_clones:
                remove_clone(journal.client, journal, clone.vmid)
            for machine in plan.spare:
                # Another run may be faster.
                with suppress(NoSuchObject):
                    self._reap_one(journal, machine.vmid, request)

    def _reap_one(self, journal: NodeJournal, vmid: int, request: SeedRequest) -> None:
        now = audit(journal.client, vmid)
        lineage = now.own_lineage
        building = lineage is not None and (lineage.seed_id, lineage.state) == (request.seed_id, "building")
        ours = lineage is not None and self._ours(request)(lineage)
        if building and ours and now.lock is None:
            journal.work("reap", partial(journal.client.delete_machine, vmid))

    def _warn(self, journal: NodeJournal, standing: Survey) -> None:
        for node in standing.unread:
            journal.warn(
                f"node {node} does not answer and is written off: whether it holds this record's template on storage"
                f" {journal.client.site.storage} was not looked at"
            )
        for facts in standing.stuck:
            journal.warn(
                f"VMID {facts.vmid} is locked (create) and no task works on it: on node {facts.node} run"
                f" {leftovers_gone(facts.vmid)} (a token may not)"
            )
        for facts in standing.changed:
            journal.warn(f"VMID {facts.vmid} claims to be this record's template but is left alone: it was changed")
        for facts in standing.unclaimed:
            journal.warn(
                f"VMID {facts.vmid} ({facts.name}) looks like this record's template and is not ours: left alone"
            )
        if len([facts for facts in standing.complete if scratch_for(facts) is None]) > 1:
            vmids = ", ".join(str(facts.vmid) for facts in standing.complete)
            journal.warn(f"the record has more than one complete template: {vmids}; the first is used")


def _site_of(site: ProxmoxSite, options: TemplateOptions) -> ProxmoxSite:
    """Return a site as the options have it for one template."""
    said = {
        "storage": options.storage_vm or None,
        "bridge": options.network_bridge or None,
        "template_smoke_gate": options.template_smoke_gate,
    }
    return site.model_copy(update={name: value for name, value in said.items() if value is not None})
