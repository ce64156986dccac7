"""What a seed would find and do at its site: for `plan` and for preflight. Reads only."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from hyops_assets.cli.modules.in_graph import seeds_by_command
from hyops_assets.cli.modules.seeds import record_version, seed_site
from hyops_assets.cli.modules.work import Check, Intended, Work
from hyops_assets.cli.modules.wrap_outlook import wrapper_checks
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import ImageSeedInputs, TemplateSeedInputs
from hyops_assets.contract.steps import timed
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.sites.registry import CLOUDS

if TYPE_CHECKING:
    from resources.sites.hetzner.seed import HetznerSeeder
    from resources.sites.proxmox.seed import ProxmoxSeeder


def plan(work: Work) -> list[Intended]:
    """Say whether the site holds the record already, or would get it.

    Raises:
        SettingsError: no such site, or none at all.
        HyopsError: the site does not tell.
    """
    site, version = seed_site(work), record_version(work)
    contract = _contract(work)
    what = "template" if isinstance(work.inputs, TemplateSeedInputs) else "image"
    if contract is None:
        return [Intended(what, "seed", f"{version} at {site}, unless it is there: this host does not hold its record")]
    found = _found(work, contract)
    if found:
        return [Intended(what, "adopt", f"{version} at {site}: {found}")]
    source = contract.urls.get("qcow2" if what == "template" else "raw.xz") or _wrapped(work)
    return [Intended(what, "seed", f"{version} at {site} from {source}")]


def _contract(work: Work) -> Contract | None:
    return ArtifactStore(work.place.root.artifacts).find_document("published_contract", record_version(work), Contract)


def _wrapped(work: Work) -> str:
    """Say what would be done for a record without raw.xz."""
    may = isinstance(work.inputs, ImageSeedInputs) and work.inputs.seed_wrapper_public_base_url
    return f"its qcow2, wrapped here and served under {may}" if may else "nothing: it has no raw.xz, and is refused"


def checks(work: Work) -> list[Check]:
    """Return whether the site can be reached with its token, and has what a seed needs."""
    proxmox = isinstance(work.inputs, TemplateSeedInputs)
    provider = "proxmox" if proxmox else "hetzner"
    try:
        site = seed_site(work)
    except HyopsError as error:
        return [Check(f"readiness:{provider}", "fail", f"{error.message}; {error.hint}")]
    sites = work.settings.sites
    variable = (sites.proxmox if proxmox else sites.hetzner)[site].token_env
    if not os.environ.get(variable, "").strip():
        return [
            Check(
                f"credentials:{provider}", "missing", f"missing required credentials: {variable} is unset; export it"
            )
        ]
    there = tried(f"readiness:{provider}/{site}", lambda: reached(work.settings, provider, site))
    wrapping = _wrapping(work, site) if there.status == "ok" else []
    return [Check(f"credentials:{provider}", "ok", f"{variable} is set"), there, *wrapping]


def _wrapping(work: Work, site: str) -> list[Check]:
    """Return whether what a record without raw.xz needs is there, where a snapshot of it has to be made."""
    inputs, contract = work.inputs, _contract(work)
    if not isinstance(inputs, ImageSeedInputs) or contract is None or "raw.xz" in contract.urls:
        return []
    if seeds_by_command(inputs) or inputs.image_ref or not inputs.seed_if_missing:
        return []
    found = tried("wrapper:purpose", lambda: _found(work, contract))
    if found.status != "ok":
        return [found]
    if found.detail:
        return [Check("wrapper:purpose", "ok", f"nothing is to be wrapped: {found.detail} holds the record")]
    return wrapper_checks(inputs, contract, lab=work.settings.hetzner_site(site).lab)


def tried(name: str, look: Callable[[], str]) -> Check:
    """Return a check that tells what looking found, or why it failed, whatever kept it from looking."""
    try:
        with timed(name):
            return Check(name, "ok", look())
    except HyopsError as error:
        return Check(name, "fail", f"{error.message}; {error.hint}")
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding; a client's library may raise anything
        return Check(name, "fail", f"could not be looked at: {type(error).__name__}: {' '.join(str(error).split())}")


def reached(settings: Settings, cloud: str, site: str) -> str:
    """Look whether a site answers, and whether a seed could run there; return what was seen.

    Raises:
        HyopsError: it is not so.
    """
    return next(one for one in CLOUDS if one.name == cloud).open(settings).place(site).preflight()


def _found(work: Work, contract: Contract) -> str:
    site = seed_site(work)
    if isinstance(work.inputs, TemplateSeedInputs):
        environment = work.settings.environment_id
        template = _proxmox(work.settings, site).outlook(contract.record, work.inputs.options, environment).adopt
        return f"VMID {template.vmid}" if template else ""
    ready = [
        image
        for image in _hetzner(work.settings, site).find(contract.record)
        if image.labels.get("hyops_state") == "ready"
    ]
    return f"snapshot {ready[0].id}" if ready else ""


def _proxmox(settings: Settings, site: str) -> "ProxmoxSeeder":
    from resources.sites.proxmox.resource import ProxmoxSeeders

    return ProxmoxSeeders(settings).seeder(site)


def _hetzner(settings: Settings, site: str) -> "HetznerSeeder":
    from resources.sites.hetzner.resource import HetznerProjects

    return HetznerProjects(settings).seeder(site)
