"""The writing half of a seed: the image to the node, the machine from the image, the template from it, the commit.

A machine's own words are written only over what was read, and once more where somebody else wrote in between.
"""

import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import tenacity

from hyops_assets.contract.record import Record
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.urls import local_file
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import (
    AlreadyTemplate,
    AnswerLost,
    ConfigChanged,
    LeftoverVolume,
    MachineExists,
    NoSuchObject,
    PrivilegeMissing,
    SeedBusy,
    SeedFailed,
    SiteNotReady,
    TaskBusy,
    TaskFailed,
    VmidTaken,
)
from resources.sites.proxmox.facts import ROUNDING_BYTES, TemplateFacts, audit, audit_whole
from resources.sites.proxmox.lineage import (
    TemplateLineage,
    description_of,
    import_file_name,
    smbios_of,
    tags_of,
    template_name,
)
from resources.sites.proxmox.tasks import NodeJournal
from resources.sites.proxmox.vmids import free_vmids, none_free

_HAD_IT = "got correct file already"
_ATTEMPTS = 3
_CONVERTED = re.compile(r"can't convert a template to a template")


@dataclass
class Build:
    """Writes what a site lacks for one request. Each step may find that a killed run had taken it.

    Attributes:
        options: name and hardware of the template, and the VMID it is made for.
        scratch_for: the VMID that this one is the scratch of; None where it is the template itself.
        sent: bytes of the image that went to the node; None until it is there.
    """

    client: ProxmoxClient
    journal: NodeJournal
    request: SeedRequest
    options: TemplateOptions = field(default_factory=TemplateOptions)
    scratch_for: int | None = None
    sent: int | None = None

    @property
    def private_file(self) -> Path | None:
        """The image on this host, where the source is a file URL: the node cannot fetch it."""
        return local_file(self.request.url)

    def bring_image(self) -> None:
        """Have the qcow2 on the import storage, its SHA-256 checked there; once per seed.

        Raises:
            ImageMismatch: its bytes are not the record's, there or at its source.
            TaskFailed: the node could not fetch it.
        """
        if self.sent is None:
            self.sent = self._bring()

    def _bring(self) -> int:
        qcow2, storage = self.request.record.variants["qcow2"], self.client.site.import_storage
        name, file = import_file_name(self.request.record), self.private_file
        if file is not None:
            self._refuse_to_replace(storage, name)
            progress = self.journal.progress
            send = partial(self.client.create_upload, path=file, file_name=name, sha256=qcow2.sha256)
            self.journal.work("check", lambda: send(storage, progress=progress))
            return qcow2.size_bytes
        end = self.journal.work("download", lambda: self._download(storage, name, qcow2.sha256))
        sent = 0 if any(_HAD_IT in line for line in end.log) else qcow2.size_bytes
        self.journal.progress("download", qcow2.size_bytes, qcow2.size_bytes)
        return sent

    def _refuse_to_replace(self, storage: str, name: str) -> None:
        """Refuse to upload over a file of another size: Proxmox would replace it without a word."""
        volid, size = f"{storage}:import/{name}", self.request.record.variants["qcow2"].size_bytes
        for volume in self.client.list_volumes(storage, "import"):
            if volume.volid == volid and volume.size != size:
                raise SeedFailed(
                    f"{volid} has {volume.size} bytes, the record's qcow2 {size}: somebody put another file there",
                    hint=f"look at it; then pvesm free {volid}, and seed again",
                )

    def _download(self, storage: str, name: str, sha256: str) -> str:
        """Ask for the download. A lost answer is asked for again: the node keeps a file that is there and right."""
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(AnswerLost),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            reraise=True,
        )
        return again(self.client.create_download, storage, url=self.request.url, file_name=name, sha256=sha256)

    def create(self, taken: frozenset[int], *, at: int | None = None) -> TemplateFacts:
        """Create the machine with its disk imported from the image: under a VMID, or the first free one of the range.

        Raises:
            VmidTaken: somebody else took `at` first.
            SiteNotReady: no VMID of the range is free.
            SeedFailed: the machine's disk is not of the record's size.
            DiskUnseen: its storage does not show it.
        """
        if at is not None:
            if not self._create_as(at):
                raise VmidTaken(
                    f"VMID {at} was taken by another machine meanwhile", hint="leave template_vm_id out, or free it"
                )
            return self.require_disk(at)
        meant = {self.options.template_vm_id, self.options.template_smoke_vmid}
        for vmid in free_vmids(self.client, but=taken | meant):
            try:
                if self._create_as(vmid):
                    return self.require_disk(vmid)
            except LeftoverVolume as error:
                self.journal.warn(
                    f"VMID {vmid} is passed over, a volume of a machine that is gone is in its way:"
                    f" {error.exitstatus}; see pvesm list and pvesm free on the node"
                )
        raise none_free(self.client, "template")

    def require_disk(self, vmid: int) -> TemplateFacts:
        """Return a machine of ours whose disk has the record's size.

        Raises:
            SeedFailed: it has not.
            DiskUnseen: its storage does not show it.
            SiteNotReady: the token may not look at it.
        """
        facts, wanted = audit_whole(self.client, vmid), self.request.record.disk.size_bytes
        size = facts.disk_size_bytes
        if facts.volid is not None and facts.disk == "hidden":
            raise SiteNotReady(
                f"the token may not look at {facts.volid}, so that its size cannot be compared",
                hint=f"grant it Datastore.Audit on the storage and VM.Config.Disk on VMID {vmid} (docs/proxmox.md)",
            )
        if size is None or not 0 <= size - wanted < ROUNDING_BYTES:
            raise SeedFailed(
                f"the disk {facts.volid} of VMID {vmid} has {size} bytes, the record's disk {wanted}",
                hint=f"look at the import task's log; then destroy VMID {vmid}, which is not published",
            )
        return facts

    def take_over(self, vmid: int) -> None:
        """Have a machine that an earlier run of this seed began say this run's name and time.

        Under the dead run's it would count as a leftover where this run is not known: another environment's
        sweep of the same node, or the next sweep once that time is over.

        Raises:
            SeedFailed: the machine's disk is not of the record's size.
        """
        facts = self.require_disk(vmid)
        write_lineage(self.client, facts, self.lineage(vmid))

    def tag(self, vmid: int) -> None:
        """Have the machine carry its tags, unless the datacenter reserves them: they are an index, no more.

        Not at its creation: tags are asked for on the machine itself there, which a pool's rights do not reach yet
        (qemu-server, API2/Qemu.pm, `create_vm`; pve-guest-common, `assert_tag_permissions`).
        """
        wanted, has = set(tags_of(self.request.record).split(";")), set(audit(self.client, vmid).tags.split(";"))
        if wanted <= has:
            return
        try:
            self.client.ensure_config(vmid, tags=";".join(sorted((wanted | has) - {""})))
        except PrivilegeMissing as error:
            self.journal.warn(f"VMID {vmid} has no tags: {error.reason}")
        except AnswerLost:
            # Whether they were set shows in nothing that counts.
            self.journal.warn(f"VMID {vmid} may have no tags: the answer was lost")

    def convert(self, vmid: int) -> TemplateFacts:
        """Make the machine a template; complete a conversion that was killed half way.

        Proxmox sets the flag first and renames the disk after it, and refuses a second conversion unless a disk
        is named (qemu-server, API2/Qemu.pm, `template`).

        Raises:
            SeedFailed: flag or base volume are still missing.
            SeedBusy: another run of this seed was faster.
            DiskUnseen: its storage does not show the disk.
        """
        facts = audit_whole(self.client, vmid)
        for _ in range(_ATTEMPTS):
            if facts.converted:
                return facts
            try:
                self.journal.work("template", partial(self._ask_to_convert, facts))
            except AnswerLost:
                self._await_active("qmtemplate", vmid)
            except (AlreadyTemplate, TaskFailed) as error:
                if not _CONVERTED.search(error.message):
                    raise
                self._require_mine(audit(self.client, vmid))
            facts = audit_whole(self.client, vmid)
        if not facts.converted:
            raise SeedFailed(
                f"VMID {vmid} is no whole template: flag {facts.template}, disk {facts.volid}",
                hint="look at the qmtemplate task's log",
            )
        return facts

    def _ask_to_convert(self, facts: TemplateFacts) -> str:
        return self.client.create_template(facts.vmid, disk="scsi0" if facts.template else None)

    def _require_mine(self, facts: TemplateFacts) -> None:
        """Refuse to go on with a machine that another run of this seed carries on."""
        run_id = facts.lineage.run_id if facts.lineage is not None else ""
        if run_id != self.request.run_id:
            raise SeedBusy(
                f"run {run_id or '?'} of this seed carries VMID {facts.vmid} on", hint="wait for it, then seed again"
            )

    def lineage(self, vmid: int) -> TemplateLineage:
        """Return the lineage of a machine that is being built."""
        record, environment = self.request.record, self.request.environment
        lineage = TemplateLineage(
            vmid=vmid,
            node=self.client.site.node,
            key=record.key,
            version=record.version,
            record_digest=record.digest,
            disk_sha256=record.disk.sha256,
            qcow2_sha256=record.variants["qcow2"].sha256,
            source_url=self.request.url,
            seed_id=self.request.seed_id,
            run_id=self.request.run_id,
            state="building",
            expires=int(time.time() + self.client.timeouts.lifetime),
            scratch_for=self.scratch_for,
            lab=record.lab,
        )
        return lineage if environment is None else lineage.made_by(environment)

    def _create_as(self, vmid: int) -> bool:
        """Create the machine under a VMID; again where its worker did not get a lock. False where it is taken."""
        return self.client.patiently(TaskBusy)(self._create_once, vmid)

    def _create_once(self, vmid: int) -> bool:
        known = {task.upid for task in self.client.list_tasks(source="all", kind="qmcreate", vmid=vmid)}
        settings = self._settings(vmid)
        for _ in range(_ATTEMPTS):
            try:
                upid = self.client.create_machine(vmid, **settings)
            except AnswerLost:
                # The call may have been taken: its worker is the proof. If none shows up, asking again is safe,
                # because the node gives a VMID once.
                upid = self._new_create_task(vmid, known)
            except MachineExists:
                upid = self._new_create_task(vmid, known)
                if upid is None:
                    return False
            if upid is not None:
                self.journal.wait("import", upid)
                return self._is_mine(vmid)
        raise AnswerLost(f"creating VMID {vmid}: no answer, no task", hint="run the seed again")

    def _new_create_task(self, vmid: int, known: set[str]) -> str | None:
        tasks = self.client.list_tasks(source="all", kind="qmcreate", vmid=vmid)
        return next((task.upid for task in tasks if task.upid not in known), None)

    def _is_mine(self, vmid: int) -> bool:
        """Whether the machine that came to be is this seed's: another run of ours may have been faster."""
        try:
            lineage = audit(self.client, vmid).lineage
        except NoSuchObject:
            return False
        mine = (self.request.seed_id, self.request.environment, vmid)
        return lineage is not None and (lineage.seed_id, lineage.environment, lineage.vmid) == mine

    def _await_active(self, kind: str, vmid: int) -> None:
        for task in self.client.list_tasks(source="active", kind=kind, vmid=vmid):
            self.journal.wait(kind, task.upid)

    def _settings(self, vmid: int) -> dict[str, str | int | None]:
        """Return the template's hardware: BIOS and virtio, a serial console beside the screen, cloud-init, agent.

        `vga` stays at its default: `serial0` there would hide a console that the image does not have.
        """
        site, record, options = self.client.site, self.request.record, self.options
        image = f"{site.import_storage}:import/{import_file_name(record)}"
        return {
            "name": options.template_name or template_name(record),
            "pool": site.pool or None,
            "description": description_of(self.lineage(vmid)),
            "smbios1": smbios_of(record),
            "ostype": "l26",
            "bios": "seabios",
            "cores": options.cpu_cores,
            "memory": options.memory_mb,
            "ciuser": options.ci_username or None,
            "scsihw": "virtio-scsi-single",
            "scsi0": f"{site.storage}:0,import-from={image},discard=on,iothread=1",
            "ide2": f"{site.storage}:cloudinit",
            "boot": "order=scsi0",
            "serial0": "socket",
            "agent": "enabled=1",
            "net0": f"virtio,bridge={site.bridge}",
            "onboot": 0,
            # Clones inherit it, and could then not be destroyed.
            "protection": 0,
        }


def write_lineage(client: ProxmoxClient, facts: TemplateFacts, lineage: TemplateLineage) -> None:
    """Have a machine say a lineage, if it still is what was read.

    What its owner may change (size, networks, tags) may have changed since: then it is read and written again.

    Raises:
        SeedBusy: another run wrote its own, or somebody writes to it without a pause.
        SeedFailed: its hardware is not what it was.
        AnswerLost: it may have been written.
    """
    for _ in range(_ATTEMPTS):
        try:
            client.ensure_config(facts.vmid, description=description_of(lineage), digest=facts.digest)
        except ConfigChanged:
            facts = _same(facts, audit(client, facts.vmid))
        else:
            return
    raise SeedBusy(f"VMID {facts.vmid} is being written to by others", hint="see who works on it, then seed again")


def _same(was: TemplateFacts, now: TemplateFacts) -> TemplateFacts:
    if now.lineage != was.lineage:
        whose = f"run {now.lineage.run_id}" if now.lineage is not None else "somebody"
        raise SeedBusy(f"{whose} wrote to VMID {now.vmid} meanwhile", hint="wait for it, then seed again")
    if (now.hardware, now.template) != (was.hardware, was.template):
        raise SeedFailed(
            f"the hardware of VMID {now.vmid} was changed while it was seeded",
            hint=f"see who did (qm config {now.vmid}), put it back or destroy it, then seed again",
        )
    return now


def commit(client: ProxmoxClient, template: TemplateFacts, lineage: TemplateLineage, record: Record) -> TemplateFacts:
    """Mark a template ready and read it back: from here on it is adopted, never touched.

    Raises:
        SeedBusy, SeedFailed: it is not what was made, or others write to it.
        DiskUnseen: its storage does not show the disk.
    """
    # Where the answer is lost, what was written is read back below, and that decides.
    with suppress(AnswerLost):
        write_lineage(client, template, lineage)
    committed = audit_whole(client, template.vmid)
    problems = committed.problems(record)
    if problems or committed.lineage != lineage:
        found = "; ".join(problems) or "its lineage is another"
        raise SeedFailed(
            f"VMID {template.vmid} is not the template that was committed: {found}",
            hint="run the seed again: it resumes",
        )
    return committed
