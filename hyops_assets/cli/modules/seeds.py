"""`core/onprem/vyos-template-seed` and `core/hetzner/vyos-image-seed`: a record's disk at one site."""

from hyops_assets.cli.modules.in_graph import done, graph_of, options_of
from hyops_assets.cli.modules.sites import chosen_site
from hyops_assets.cli.modules.work import Done, Work
from hyops_assets.contract.inputs import ModuleInputs, SeedInputs


def apply(work: Work) -> Done:
    """Seed the record at its site.

    Raises:
        SettingsError: no such site, or none at all.
        NotRestored: the record is not on this host, and cannot be read again from where it was published.
        RunFailed: the seed failed; a later run resumes it.
    """
    site, version = seed_site(work), record_version(work)
    # Only here: other commands need not load what asks servers, nor Dagster.
    from hyops_assets.cli.modules.restoring import restore_contract
    from hyops_assets.seeds.partitions import cloud_named

    restore_contract(work, version)
    with graph_of(work) as graph:
        inputs = seed_inputs(work.inputs)
        cloud = cloud_named(inputs.cloud)
        ran = graph.seed(cloud, site, version, options_of(inputs))
        work.place.console.print(f"  {graph.standing(cloud, site, version)}, of {version}")
        return done(ran)


def seed_site(work: Work) -> str:
    """Return the site at which a run seeds.

    Raises:
        SettingsError: there is no such site, or none at all.
    """
    return chosen_site(work.inputs, work.settings, work.ref.instance)


def record_version(work: Work) -> str:
    """Return the record version that is seeded: where a state reference is given, it has decided."""
    return seed_inputs(work.inputs).record_version


def seed_inputs(inputs: ModuleInputs) -> SeedInputs:
    """Return inputs, which are a seed's.

    Raises:
        TypeError: they are another module's.
    """
    if not isinstance(inputs, SeedInputs):
        raise TypeError(type(inputs).__name__)
    return inputs
