"""The modules that `hyops` knows: one row each. Adding a module is adding its file and its row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hyops_assets.cli.check import Check
from hyops_assets.cli.modules import (
    artifact,
    build,
    build_outlook,
    by_url,
    edges,
    object_repo,
    registration,
    seed_outlook,
    seeds,
)
from hyops_assets.cli.modules.sites import require_site, slot_of
from hyops_assets.cli.modules.work import Done, Intended, Work, always, latest, never, nothing_more
from hyops_assets.contract.edges import HetznerEdgesInputs, OnpremEdgeInputs
from hyops_assets.contract.inputs import BadInputs, BuildInputs, ImageSeedInputs, ModuleInputs, TemplateSeedInputs
from hyops_assets.contract.references import (
    DEFAULT_BUILD_INSTANCE,
    HETZNER_EDGES,
    IMAGE_ARTIFACT,
    IMAGE_BUILD,
    IMAGE_REGISTER,
    IMAGE_SEED,
    OBJECT_REPO,
    ONPREM_EDGE,
    TEMPLATE_IMPORT,
    TEMPLATE_SEED,
)
from hyops_assets.contract.register_inputs import ArtifactInputs, ImageRegisterInputs, TemplateImportInputs
from hyops_assets.settings.object_repo import ObjectRepoInputs
from hyops_assets.settings.pipeline import Settings


@dataclass(frozen=True)
class Module:
    """A module: what it takes, which slot is its own, and what it does.

    Attributes:
        ref: module reference.
        inputs: the model of its inputs.
        plan: what applying would do; reads, and changes nothing anywhere.
        apply: does it; may be killed at any line and repeated.
        instance: the state instance that is the module's own for these inputs and settings, None for `latest.json`;
            the third argument is what `--state-instance` asked for, None where nothing was.
        credentials: providers whose credentials it needs (`gcp`, `hetzner`, `proxmox`): the spec's requirements.
        checks: what its preflight looks at besides what every module's does; reads only.
        refuse: raises where what is asked may never be applied; reads only. Called before a state is touched.
        require_site: raises where a site is named that is not configured, or a slot that may be meant for one.
            Called first: beside a record that is missing too, a mistyped site is the cheaper one to mend.
    """

    ref: str
    inputs: type[ModuleInputs]
    plan: Callable[[Work], list[Intended]]
    apply: Callable[[Work], Done]
    instance: Callable[[ModuleInputs, Settings, str | None], str | None] = latest
    credentials: tuple[str, ...] = ()
    checks: Callable[[Work], list[Check]] = nothing_more
    refuse: Callable[[Work], None] = never
    require_site: Callable[[Work], None] = never


_ROWS = (
    Module(
        OBJECT_REPO,
        ObjectRepoInputs,
        plan=object_repo.plan,
        apply=object_repo.apply,
        instance=object_repo.instance,
        credentials=("gcp",),
        checks=object_repo.checks,
        refuse=object_repo.refuse,
    ),
    Module(
        IMAGE_BUILD,
        BuildInputs,
        plan=build_outlook.plan,
        apply=build.apply,
        instance=always(DEFAULT_BUILD_INSTANCE),
        checks=build_outlook.checks,
        refuse=build_outlook.refuse,
    ),
    Module(IMAGE_ARTIFACT, ArtifactInputs, plan=artifact.plan, apply=artifact.apply, refuse=artifact.refuse),
    Module(
        TEMPLATE_SEED,
        TemplateSeedInputs,
        plan=seed_outlook.plan,
        apply=seeds.apply,
        instance=slot_of,
        credentials=("proxmox",),
        checks=seed_outlook.checks,
        refuse=by_url.refuse,
        require_site=require_site,
    ),
    Module(
        IMAGE_SEED,
        ImageSeedInputs,
        plan=seed_outlook.plan,
        apply=seeds.apply,
        instance=slot_of,
        credentials=("hetzner",),
        checks=seed_outlook.checks,
        refuse=by_url.refuse,
        require_site=require_site,
    ),
    Module(
        TEMPLATE_IMPORT,
        TemplateImportInputs,
        plan=registration.plan,
        apply=registration.apply,
        instance=slot_of,
        credentials=("proxmox",),
        require_site=require_site,
    ),
    Module(
        ONPREM_EDGE,
        OnpremEdgeInputs,
        plan=edges.plan_onprem,
        apply=edges.apply,
        credentials=("proxmox",),
        refuse=edges.refuse,
    ),
    Module(
        HETZNER_EDGES,
        HetznerEdgesInputs,
        plan=edges.plan_hetzner,
        apply=edges.apply,
        credentials=("hetzner",),
        refuse=edges.refuse,
    ),
    Module(
        IMAGE_REGISTER,
        ImageRegisterInputs,
        plan=registration.plan,
        apply=registration.apply,
        instance=slot_of,
        credentials=("hetzner",),
        require_site=require_site,
    ),
)
MODULES: Mapping[str, Module] = {row.ref: row for row in _ROWS}
"""By module reference."""


def find_module(ref: str) -> Module:
    """Return a module's row.

    Raises:
        BadInputs: there is no such module; the message names those that are.
    """
    if ref not in MODULES:
        raise BadInputs(f"no module {ref!r}", hint=f"use one of: {', '.join(sorted(MODULES))}")
    return MODULES[ref]
