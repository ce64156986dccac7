"""`core/onprem/vyos-template-import` and `core/hetzner/vyos-image-register`: what stands at a site becomes a state.

Read at the site, compared with what is claimed, written down; nothing is downloaded, seeded or changed there.
"""

from typing import TYPE_CHECKING

from hyops_assets.cli.modules.sites import chosen_site, require_named, slot_of
from hyops_assets.cli.modules.work import Done, Intended, Work
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.register_inputs import ImageRegisterInputs, TemplateImportInputs
from hyops_assets.contract.state import found_lineage, standing_image_outputs, standing_template_outputs
from hyops_assets.settings.pipeline import Settings
from resources.sites.standing import there_instead

if TYPE_CHECKING:
    from resources.sites.hetzner.found import FoundImage
    from resources.sites.proxmox.found import FoundTemplate


def template_slot(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str | None:
    """Return the slot of the site at which a template is looked for."""
    return slot_of(settings.sites.proxmox, _template(inputs).site, asked)


def image_slot(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str | None:
    """Return the slot of the site at which a snapshot is looked for."""
    return slot_of(settings.sites.hetzner, _image(inputs).site, asked)


def require_template_site(work: Work) -> None:
    """See that the site at which a template is looked for is configured, where one is named.

    Raises:
        NoSuchSite: it is not.
    """
    require_named("proxmox", work.settings.sites.proxmox, _template(work.inputs).site)


def require_image_site(work: Work) -> None:
    """See that the site at which a snapshot is looked for is configured, where one is named.

    Raises:
        NoSuchSite: it is not.
    """
    require_named("hetzner", work.settings.sites.hetzner, _image(work.inputs).site)


def plan_template(work: Work) -> list[Intended]:
    """Look at the template, and say what would be written."""
    found = _found_template(work)
    return [Intended(f"VMID {found.facts.vmid}", "register", found.version or "of no known record")]


def plan_image(work: Work) -> list[Intended]:
    """Look at the snapshot, and say what would be written."""
    found = _found_image(work)
    return [Intended(f"snapshot {found.facts.image_ref}", "register", found.version or "of no known record")]


def apply_template(work: Work) -> Done:
    """Register a template that stands on a Proxmox site.

    Raises:
        NotThatTemplate: there is no machine with this VMID, it is no template, or not the one that is claimed.
        SettingsError, MissingSecret, SiteNotReady, NodeUnreachable: the site cannot be asked.
    """
    inputs = _template(work.inputs)
    site = work.settings.sites.proxmox[_template_site(work)]
    found = _found_template(work)
    facts, lineage = found.facts, found.lineage
    outputs = standing_template_outputs(
        key=inputs.template_key,
        vmid=facts.vmid,
        name=facts.name or "",
        node=facts.node,
        version=found.version,
        source_url=lineage.source_url if lineage else inputs.template_source_url,
    ) | found_lineage(
        version=found.version,
        record_digest=lineage.record_digest if lineage else None,
        disk_sha256=lineage.disk_sha256 if lineage else None,
        lab=lineage.lab if lineage else site.lab,
    )
    if lineage is not None and lineage.environment is not None:
        outputs["template_environment"] = lineage.environment
    _warn(work, found.warnings)
    return Done({"outcome": "registered", "warnings": list(found.warnings)}, outputs)


def apply_image(work: Work) -> Done:
    """Register a snapshot of a Hetzner Cloud project.

    Raises:
        NotThatImage: the project has no such snapshot, it cannot be used, or is not the one that is claimed.
        SettingsError, MissingSecret, HetznerError, HetznerUnavailable: the project cannot be asked.
    """
    inputs = _image(work.inputs)
    site = work.settings.sites.hetzner[_image_site(work)]
    found = _found_image(work)
    facts, labels = found.facts, found.labels
    outputs = standing_image_outputs(
        key=inputs.image_key,
        image_ref=facts.image_ref,
        # Hetzner's snapshots have no name.
        name=facts.description,
        description=facts.description,
        version=found.version,
        source_url=inputs.image_source_url,
    ) | found_lineage(
        version=found.version,
        record_digest=labels.record_digest if labels else None,
        disk_sha256=labels.disk_sha256 if labels else None,
        lab=labels.lab if labels else site.lab,
    )
    if labels is not None and labels.environment is not None:
        outputs["image_environment"] = labels.environment
    _warn(work, found.warnings)
    return Done({"outcome": "registered", "warnings": list(found.warnings)}, outputs)


def _found_template(work: Work) -> "FoundTemplate":
    # Clients load their vendor's library and Dagster: only where a site is asked.
    from resources.sites.proxmox.errors import NoSuchObject
    from resources.sites.proxmox.found import NotThatTemplate, require_template
    from resources.sites.proxmox.resource import ProxmoxSeeders

    inputs, site = _template(work.inputs), _template_site(work)
    seeder = ProxmoxSeeders(work.settings).seeder(site)
    try:
        facts = seeder.audit(inputs.template_vm_id)
    except NoSuchObject as error:
        templates = {one.vmid: one.name or "" for one in seeder.client.list_machines() if one.template}
        raise NotThatTemplate(
            f"proxmox/{site} has no machine {inputs.template_vm_id} that the token may see; expected a template; "
            f"{there_instead('templates', templates)}",
            hint="set template_vm_id to one of them, or have one made: apply core/onprem/vyos-template-seed",
        ) from error
    return require_template(
        facts, inputs, lab=work.settings.sites.proxmox[site].lab, environment=work.settings.environment_id
    )


def _found_image(work: Work) -> "FoundImage":
    from resources.sites.hetzner.errors import MissingImage
    from resources.sites.hetzner.found import NotThatImage, require_image
    from resources.sites.hetzner.resource import HetznerProjects

    inputs, site = _image(work.inputs), _image_site(work)
    seeder = HetznerProjects(work.settings).seeder(site)
    try:
        facts = seeder.audit(inputs.image_ref)
    except MissingImage as error:
        raise NotThatImage(
            f"hetzner/{site} has no snapshot {inputs.image_ref}; {there_instead('snapshots', seeder.snapshots())}",
            hint="set image_ref to one of them; one of another project is seen from that project's site only; "
            "apply core/hetzner/vyos-image-seed makes this project its own",
        ) from error
    return require_image(
        facts, inputs, lab=work.settings.sites.hetzner[site].lab, environment=work.settings.environment_id
    )


def _template_site(work: Work) -> str:
    return chosen_site("proxmox", work.settings.sites.proxmox, _template(work.inputs).site, work.ref.instance)


def _image_site(work: Work) -> str:
    return chosen_site("hetzner", work.settings.sites.hetzner, _image(work.inputs).site, work.ref.instance)


def _warn(work: Work, warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        work.place.console.print(f"warning: {warning}")


def _template(inputs: ModuleInputs) -> TemplateImportInputs:
    if not isinstance(inputs, TemplateImportInputs):
        raise TypeError(type(inputs).__name__)
    return inputs


def _image(inputs: ModuleInputs) -> ImageRegisterInputs:
    if not isinstance(inputs, ImageRegisterInputs):
        raise TypeError(type(inputs).__name__)
    return inputs
