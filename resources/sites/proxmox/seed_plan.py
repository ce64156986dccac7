"""Where the template of a record goes, given what stands on the site and what was asked for. Decides; touches nothing.

A disk never passes for another: what counts as the record's template is found by its digest and nothing else
(docs/decisions/0015-a-vmid-is-replaced-by-a-successor.md).
"""

from dataclasses import dataclass

from hyops_assets.contract.record import Record
from hyops_assets.contract.seed_options import TemplateOptions
from resources.sites.proxmox.errors import TemplateChanged, TemplateMissing, VmidTaken, leftovers_gone
from resources.sites.proxmox.facts import TemplateFacts
from resources.sites.proxmox.lineage import TemplateLineage, digest_tag, template_name
from resources.sites.proxmox.survey import Survey


@dataclass(frozen=True)
class Plan:
    """What a seed does.

    Attributes:
        adopt: the record's template, complete as it is; then nothing is made.
        at: the VMID to make it under; None takes a free one of the range.
        resume: what a killed run of this seed began there.
        replaces: what stands under `at` and goes once a successor is ready.
        scratch: that successor, where it stands already.
        resume_scratch: what a killed run began of it.
        spare: machines that this seed began and that are not needed.
        superseded: scratches whose template is `adopt`.
    """

    adopt: TemplateFacts | None = None
    at: int | None = None
    resume: TemplateFacts | None = None
    replaces: TemplateFacts | None = None
    scratch: TemplateFacts | None = None
    resume_scratch: TemplateFacts | None = None
    spare: tuple[TemplateFacts, ...] = ()
    superseded: tuple[TemplateFacts, ...] = ()

    @property
    def resumes(self) -> bool:
        """Whether a killed run's work is carried on."""
        return any(part is not None for part in (self.resume, self.scratch, self.resume_scratch))


def plan_of(standing: Survey, record: Record, options: TemplateOptions) -> Plan:
    """Return what is to be done.

    Raises:
        TemplateMissing: nothing is there and nothing may be made.
        TemplateChanged: the record's template was changed by hand.
        VmidTaken: what stands under the wanted VMID may not be replaced, or the record stands under another.
    """
    wanted = options.template_vm_id
    fitting = [facts for facts in standing.complete if wanted in {None, facts.vmid}]
    if fitting:
        return Plan(
            adopt=fitting[0],
            spare=tuple(standing.unfinished),
            superseded=tuple(
                facts
                for facts in standing.complete
                if scratch_for(facts) == fitting[0].vmid and facts != fitting[0] and facts.vmid not in standing.others
            ),
        )
    if not options.seed_if_missing:
        where = "the site" if wanted is None else f"VMID {wanted}"
        raise TemplateMissing(
            f"{where} holds no template of {record.key} {record.version}, and seed_if_missing is false",
            hint="set seed_if_missing to true, or leave it out",
        )
    if not standing.complete and not options.rebuild_if_exists:
        _refuse_changed(standing, record, wanted)
    if wanted is None:
        return Plan(resume=_first(standing.unfinished), spare=tuple(standing.unfinished[1:]))
    return _explicit(standing, record, wanted, rebuild=options.rebuild_if_exists)


def scratch_for(facts: TemplateFacts) -> int | None:
    """Return the VMID that a template is the scratch of."""
    return facts.own_lineage.scratch_for if facts.own_lineage is not None else None


def require_replaceable(
    facts: TemplateFacts | None, wanted: int, record: Record, *, ours: bool, rebuild: bool
) -> TemplateFacts:
    """Return what may be replaced: a committed template of ours on the site's node that nothing holds.

    Args:
        facts: what stands under the VMID; None where that cannot be seen.
        wanted: the VMID.
        record: what is to stand there.
        ours: whether this environment made what stands there.
        rebuild: whether it may be replaced by another record's.

    Raises:
        VmidTaken: it may not; the message says why.
    """
    where = f"VMID {wanted}"
    if facts is None:
        raise VmidTaken(
            f"{where} is taken by a machine that the token may not see, or whose node is away",
            hint="name another template_vm_id, or none",
        )
    lineage, named = facts.own_lineage, f"{where} ({facts.name or 'no name'}, node {facts.node})"
    why = (
        (
            facts.lock == "create" and facts.volid is None,
            "is stuck under creation",
            f"as root: {leftovers_gone(wanted)}",
        ),
        (
            not facts.template,
            "is a virtual machine, not a template",
            "name another template_vm_id, or none: a free VMID is taken then",
        ),
        (lineage is None, "does not say that we made it", "name another template_vm_id, or none"),
        (
            lineage is not None and not ours,
            f"belongs to {_environment(lineage)}",
            "name another template_vm_id, or none",
        ),
        (facts.lock is not None, f"is locked ({facts.lock})", "wait for the task that holds it"),
        (
            lineage is not None and (lineage.state != "ready" or lineage.scratch_for is not None),
            "belongs to a seed that is not finished",
            "apply that seed again, or name another template_vm_id",
        ),
        (facts.protection, "is protected", f"if it may go: qm set {wanted} --protection 0"),
    )
    for wrong, text, hint in why:
        if wrong:
            raise VmidTaken(f"{named} {text}", hint=hint)
    if not rebuild:
        held = f"{lineage.key} {lineage.version}" if lineage else "?"
        problems = "; ".join(facts.problems(record))
        raise VmidTaken(
            f"{named} is the template of {held}, not a complete one of {record.key} {record.version}: {problems}",
            hint="leave template_vm_id out (a free VMID is taken), or set rebuild_if_exists to replace it",
        )
    return facts


def _environment(lineage: TemplateLineage | None) -> str:
    if lineage is None or lineage.environment is None:
        return "an environment that it does not name, and no run here made it"
    return f"environment {lineage.environment}"


def _explicit(standing: Survey, record: Record, wanted: int, *, rebuild: bool) -> Plan:
    ours = [facts for facts in standing.complete if facts.vmid not in standing.others]
    scratch = next((facts for facts in ours if scratch_for(facts) == wanted), None)
    if standing.complete and scratch is None:
        held = standing.complete[0]
        raise VmidTaken(
            f"{record.key} {record.version} stands complete as VMID {held.vmid} on node {held.node}; a record has one "
            "template per site",
            hint=f"leave template_vm_id out, or set it to {held.vmid}",
        )
    begun = next((facts for facts in standing.unfinished if facts.vmid == wanted), None)
    if begun is not None or wanted not in standing.taken:
        spare = tuple(facts for facts in standing.unfinished if facts is not begun)
        return Plan(at=wanted, resume=begun, scratch=scratch, spare=spare)
    replaces = require_replaceable(
        standing.occupant, wanted, record, ours=wanted not in standing.others, rebuild=rebuild
    )
    half = None if scratch is not None else _first(standing.unfinished)
    spare = tuple(facts for facts in standing.unfinished if facts is not half)
    return Plan(at=wanted, replaces=replaces, scratch=scratch, resume_scratch=half, spare=spare)


def _refuse_changed(standing: Survey, record: Record, wanted: int | None) -> None:
    """Refuse to make a second template beside one that was changed; which one is meant would be unknown."""
    for facts in standing.changed:
        # What became of another environment's template is not for this one to mend.
        if facts.vmid != wanted and facts.vmid not in standing.others:
            _changed(facts, "; ".join(facts.problems(record)))
    for facts in standing.unclaimed:
        tagged = digest_tag(record) in facts.tags.replace(",", ";").split(";")
        if facts.template and tagged and facts.name == template_name(record) and facts.vmid != wanted:
            _changed(facts, "its description no longer says what it holds")


def _changed(facts: TemplateFacts, what: str) -> None:
    """Refuse; to destroy what was not seen is not advised: a storage that is away comes back."""
    absent = facts.disk == "absent"
    by_hand = f"see that its storage is whole (pvesm path {facts.volid})" if absent else "put it back"
    gone = "" if absent else f", or destroy it (qm destroy {facts.vmid})"
    raise TemplateChanged(
        f"VMID {facts.vmid} on node {facts.node} is this record's template, and was changed: {what}",
        hint=f"{by_hand}{gone}, or set rebuild_if_exists to get another one",
    )


def _first(machines: list[TemplateFacts]) -> TemplateFacts | None:
    return machines[0] if machines else None
