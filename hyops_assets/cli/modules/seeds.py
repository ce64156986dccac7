"""`core/onprem/vyos-template-seed` and `core/hetzner/vyos-image-seed`: a record's disk at one site."""

from collections.abc import Mapping

from hyops_assets.cli.modules.in_graph import done, graph_of
from hyops_assets.cli.modules.work import Check, Done, Intended, Work
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.inputs import ModuleInputs, SeedInputs, TemplateSeedInputs
from hyops_assets.contract.settings import HetznerSite, ProxmoxSite, Settings, SettingsError, default_site


def plan(work: Work) -> list[Intended]:
    """Say what seeding would do."""
    return []


def apply_template(work: Work) -> Done:
    """Seed the record at a Proxmox site.

    Raises:
        SettingsError: no such site, or none at all.
        RunFailed: the seed failed; a later run resumes it.
    """
    site, version = _site(work), _version(work)
    with graph_of(work) as graph:
        return done(graph.seed_proxmox(site, version))


def apply_image(work: Work) -> Done:
    """Seed the record in a Hetzner project.

    Raises:
        SettingsError: no such site, or none at all.
        RunFailed: the seed failed; a later run resumes it.
    """
    site, version = _site(work), _version(work)
    with graph_of(work) as graph:
        return done(graph.seed_hetzner(site, version))


def checks(work: Work) -> list[Check]:
    """Return whether the site can be reached and used."""
    return []


def instance(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str | None:
    """Return the site's own instance: the default site's is `latest.json`, any other's has the site's name."""
    _, sites = _kind(inputs, settings)
    named = inputs.site if isinstance(inputs, SeedInputs) else ""
    site = named or (asked if asked in sites else "")
    return None if not site or site == default_site(sites) else site


def _site(work: Work) -> str:
    kind, sites = _kind(work.inputs, work.settings)
    named = _inputs(work).site or (work.ref.instance if work.ref.instance in sites else None)
    site = named or default_site(sites)
    if site is None or site not in sites:
        known = ", ".join(sorted(sites)) or "none"
        raise SettingsError(
            f"no {kind} site {site or ''!r} is configured (configured: {known})",
            hint=f"add it to config/pipeline.yml under sites.{kind}.{site or '<name>'}",
        )
    return site


def _kind(inputs: ModuleInputs, settings: Settings) -> tuple[str, Mapping[str, ProxmoxSite | HetznerSite]]:
    if isinstance(inputs, TemplateSeedInputs):
        return "proxmox", settings.sites.proxmox
    return "hetzner", settings.sites.hetzner


def _version(work: Work) -> str:
    """Return the record version that the state reference leads to: the reference decides, nothing else."""
    inputs = _inputs(work)
    records = work.resolved["record_state_ref"].outputs.get("records")
    entry = records.get(inputs.record_key) if isinstance(records, dict) else None
    if not isinstance(entry, dict):
        known = ", ".join(sorted(records)) if isinstance(records, dict) else "none"
        raise Refused(
            f"{inputs.record_state_ref} has no record {inputs.record_key!r} (it has: {known})",
            hint="set record_key to one of them",
        )
    return str(entry["record_version"])


def _inputs(work: Work) -> SeedInputs:
    if not isinstance(work.inputs, SeedInputs):
        raise TypeError(type(work.inputs).__name__)
    return work.inputs
