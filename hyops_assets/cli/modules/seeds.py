"""`core/onprem/vyos-template-seed` and `core/hetzner/vyos-image-seed`: a record's disk at one site."""

from typing import TYPE_CHECKING

from hyops_assets.cli.modules.in_graph import done, graph_of, image_wishes, template_options
from hyops_assets.cli.modules.sites import Sites, chosen_site, require_named, slot_of
from hyops_assets.cli.modules.work import Done, Work
from hyops_assets.contract.inputs import ImageSeedInputs, ModuleInputs, SeedInputs, TemplateSeedInputs
from hyops_assets.settings.pipeline import Settings

if TYPE_CHECKING:
    from hyops_assets.cli.graph import Graph, Ran


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
        ran = graph.seed_proxmox(site, version, template_options(_seed_inputs(work.inputs)))
        return _done(work, graph, ran, "proxmox", site)


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
        return _done(work, graph, graph.seed_hetzner(site, version, wishes), "hetzner", site)


def _done(work: Work, graph: "Graph", ran: "Ran", cloud: str, site: str) -> Done:
    """Say what stands at the site now, and return what the run came to."""
    from hyops_assets.partitions import CLOUDS

    row = next(one for one in CLOUDS if one.name == cloud)
    work.place.console.print(f"  {graph.standing(row, site, record_version(work))}, of {record_version(work)}")
    return done(ran)


def _restored(work: Work, version: str) -> None:
    # Only here: other commands need not load what asks servers.
    from hyops_assets.cli.modules.restoring import restore_contract

    restore_contract(work, version)


def instance(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str | None:
    """Return the site's own instance: the default site's is `latest.json`, any other's has the site's name."""
    return slot_of(_sites(inputs, settings), _seed_inputs(inputs).site, asked)


def require_site(work: Work) -> None:
    """See that the site that the inputs name is configured.

    Raises:
        NoSuchSite: it is not.
    """
    kind = "proxmox" if isinstance(work.inputs, TemplateSeedInputs) else "hetzner"
    require_named(kind, _sites(work.inputs, work.settings), _seed_inputs(work.inputs).site)


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
