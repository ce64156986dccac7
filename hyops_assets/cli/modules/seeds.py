"""`core/onprem/vyos-template-seed` and `core/hetzner/vyos-image-seed`: a record's disk at one site."""

from hyops_assets.cli.modules.in_graph import done, graph_of, image_wishes, template_options
from hyops_assets.cli.modules.sites import Sites, chosen_site, slot_of
from hyops_assets.cli.modules.work import Done, Work
from hyops_assets.contract.inputs import ImageSeedInputs, ModuleInputs, SeedInputs, TemplateSeedInputs
from hyops_assets.settings.pipeline import Settings


def apply_template(work: Work) -> Done:
    """Seed the record at a Proxmox site.

    Raises:
        SettingsError: no such site, or none at all.
        NotRestored: the record is not on this host, and cannot be read again from where it was published.
        RunFailed: the seed failed; a later run resumes it.
    """
    site, version = seed_site(work), record_version(work)
    _restored(work, version)
    with graph_of(work) as graph:
        return done(graph.seed_proxmox(site, version, template_options(_seed_inputs(work.inputs))))


def apply_image(work: Work) -> Done:
    """Seed the record in a Hetzner project.

    Raises:
        SettingsError: no such site, or none at all.
        NotRestored: the record is not on this host, and cannot be read again from where it was published.
        RunFailed: the seed failed; a later run resumes it.
    """
    site, version = seed_site(work), record_version(work)
    _restored(work, version)
    with graph_of(work) as graph:
        wishes = image_wishes(work.inputs) if isinstance(work.inputs, ImageSeedInputs) else {}
        return done(graph.seed_hetzner(site, version, wishes))


def _restored(work: Work, version: str) -> None:
    # Only here: other commands need not load what asks servers.
    from hyops_assets.cli.modules.restoring import restore_contract

    restore_contract(work, version)


def instance(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str | None:
    """Return the site's own instance: the default site's is `latest.json`, any other's has the site's name."""
    return slot_of(_sites(inputs, settings), _seed_inputs(inputs).site, asked)


def seed_site(work: Work) -> str:
    """Return the site at which a run seeds.

    Raises:
        SettingsError: there is no such site, or none at all.
    """
    kind = "proxmox" if isinstance(work.inputs, TemplateSeedInputs) else "hetzner"
    return chosen_site(kind, _sites(work.inputs, work.settings), _seed_inputs(work.inputs).site, work.ref.instance)


def record_version(work: Work) -> str:
    """Return the record version that is seeded: where a state reference is given, it has decided."""
    return _seed_inputs(work.inputs).record_version


def _sites(inputs: ModuleInputs, settings: Settings) -> Sites:
    return settings.sites.proxmox if isinstance(inputs, TemplateSeedInputs) else settings.sites.hetzner


def _seed_inputs(inputs: ModuleInputs) -> SeedInputs:
    if not isinstance(inputs, SeedInputs):
        raise TypeError(type(inputs).__name__)
    return inputs
