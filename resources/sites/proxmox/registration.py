"""A template that somebody made: whether it is what an operator says it is. Decides; reads nothing."""

from dataclasses import dataclass

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.register_inputs import TemplateImportInputs
from hyops_assets.contract.state import found_lineage, standing_template_outputs
from resources.sites.base import Registered
from resources.sites.proxmox.facts import TemplateFacts
from resources.sites.proxmox.lineage import TemplateLineage


class NotThatTemplate(Refused):
    """What stands under a VMID is no template, or not the one that was claimed. Nothing was changed."""


@dataclass(frozen=True)
class FoundTemplate:
    """A template that may become a state.

    Attributes:
        facts: as the node reported them.
        lineage: which record it was seeded from; None where it does not say, or says what is not its own.
        version: of the record: its own word, else what was claimed; empty where unknown.
        warnings: what is not vouched for.
    """

    facts: TemplateFacts
    lineage: TemplateLineage | None
    version: str
    warnings: tuple[str, ...]


def require_template(
    facts: TemplateFacts, claimed: TemplateImportInputs, *, lab: bool, environment: str | None = None
) -> FoundTemplate:
    """Return what a machine is known to be, if it is the template that is claimed.

    Args:
        facts: the machine, read from its node.
        claimed: VMID, key, and what else the operator says of it.
        lab: whether the site is a lab's.
        environment: the id of the one that asks; None where it has none yet.

    Raises:
        NotThatTemplate: it is no whole template, its seed was not finished, or it contradicts a claim.
    """
    where = f"VMID {facts.vmid} on node {facts.node}"
    if not facts.template:
        raise NotThatTemplate(
            f"{where} ({facts.name or 'no name'}) is a virtual machine, not a template",
            hint=f"set template_vm_id to a template; if this is the one, shut it down and convert it there: "
            f"qm template {facts.vmid}",
        )
    if facts.lock is not None:
        raise NotThatTemplate(f"{where} is locked ({facts.lock})", hint="wait for the task that holds it")
    lineage, warnings = _own_lineage(facts, where)
    if lineage is not None:
        _require_whole(facts, lineage, where)
        if lineage.lab and not lab:
            raise NotThatTemplate(f"{where} was seeded in a lab; this site is not one", hint="seed it here")
    contradictions = _contradictions(facts, lineage, claimed)
    if contradictions:
        raise NotThatTemplate(f"{where}: {'; '.join(contradictions)}", hint="correct the inputs, or name another VMID")
    if lineage is not None and lineage.environment not in (None, environment):
        warnings = (*warnings, f"{where} belongs to environment {lineage.environment}, which may remove it")
    return FoundTemplate(facts, lineage, lineage.version if lineage else claimed.template_image_version, warnings)


def registered(found: FoundTemplate, claimed: TemplateImportInputs, *, lab: bool) -> Registered:
    """Return what a state says of a template that others made; `lab` as its site is."""
    facts, lineage = found.facts, found.lineage
    outputs = standing_template_outputs(
        key=claimed.template_key,
        vmid=facts.vmid,
        name=facts.name or "",
        node=facts.node,
        version=found.version,
        source_url=lineage.source_url if lineage else claimed.template_source_url,
    ) | found_lineage(
        version=found.version,
        record_digest=lineage.record_digest if lineage else None,
        disk_sha256=lineage.disk_sha256 if lineage else None,
        lab=lineage.lab if lineage else lab,
    )
    if lineage is not None and lineage.environment is not None:
        outputs["template_environment"] = lineage.environment
    return Registered(str(facts.vmid), found.version, outputs, found.warnings)


def _own_lineage(facts: TemplateFacts, where: str) -> tuple[TemplateLineage | None, tuple[str, ...]]:
    lineage = facts.lineage
    if lineage is None:
        return None, (f"{where} does not say which record it holds: its disk is not vouched for",)
    if lineage.vmid != facts.vmid:
        # Proxmox copies the description to every clone: these are the words of another machine.
        return None, (
            f"{where} carries the lineage of VMID {lineage.vmid}, a clone's: its disk may have been changed",
        )
    return lineage, ()


def _require_whole(facts: TemplateFacts, lineage: TemplateLineage, where: str) -> None:
    wrong = [
        text
        for broken, text in (
            (lineage.state != "ready", f"its seed was not finished (state {lineage.state})"),
            (not facts.converted, f"its disk {facts.volid} is not a base volume"),
            (facts.disk == "absent", f"its disk {facts.volid} is not on the storage"),
        )
        if broken
    ]
    if wrong:
        raise NotThatTemplate(f"{where}: {'; '.join(wrong)}", hint="apply core/onprem/vyos-template-seed: it resumes")


def _contradictions(facts: TemplateFacts, lineage: TemplateLineage | None, claimed: TemplateImportInputs) -> list[str]:
    said = [("template_name", claimed.template_name, facts.name or "")]
    if lineage is not None:
        said += [
            ("template_key", claimed.template_key, lineage.key),
            ("template_image_version", claimed.template_image_version, lineage.version),
        ]
    return [f"{name} is {found!r}, not {wanted!r}" for name, wanted, found in said if wanted and wanted != found]
