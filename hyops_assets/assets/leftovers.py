"""Upkeep `leftover_resources`: what dead runs left at the sites is removed, and a table says what was found.

What belongs here: which sites are swept, and which runs are at work. What a leftover is stands in the `sweep.py` of
each cloud.
"""

from collections.abc import Callable, Iterator
from functools import partial

import dagster as dg

from hyops_assets.assets.run_liveness import is_live
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.ownership import Claim
from hyops_assets.contract.upkeep import Finding, counted, not_looked_at
from hyops_assets.seeds.partitions import CLOUDS, Cloud
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.error_border import bordered
from resources.handed_over import HANDED_OVER_TAG
from resources.secrets import redactor
from resources.sites.base import Look, Places
from resources.sites.resource import OpenSites

GROUP = "upkeep"
GONE = "every_leftover_is_gone"

_AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@dg.asset(
    group_name=GROUP,
    kinds={cloud.name for cloud in CLOUDS},
    code_version="1",
    config_schema={},
    check_specs=[
        dg.AssetCheckSpec(
            GONE,
            asset="leftover_resources",
            description="Every site was looked at, and nothing is left that a dead run made.",
        )
    ],
)
@bordered
def leftover_resources(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    sites: dg.ResourceParam[OpenSites],
) -> dg.MaterializeResult:
    """Servers, SSH keys, half-made templates and smoke clones that dead runs left at any site, removed.

    Only what its labels or its lineage prove to be ours, and whose run has ended or whose time is over: what a run at
    work needs stays. One site's failure stops no other.
    """
    findings = list(sweep_sites(context.instance, settings, sites))
    for finding in findings:
        context.log.info("%s: %s: %s: %s", finding.where, finding.what, finding.verdict, finding.why)
    left = [finding for finding in findings if finding.verdict in ("failed", "unknown", "by hand")]
    return dg.MaterializeResult(
        metadata={"found": counted(findings), "leftovers": table_of(findings)},
        check_results=[
            dg.AssetCheckResult(
                check_name=GONE, passed=not left, description=counted(findings), metadata={"left": table_of(left)}
            )
        ],
    )


def sweep_sites(
    instance: dg.DagsterInstance, settings: Settings, sites: OpenSites, *, reap: bool = True
) -> Iterator[Finding]:
    """Sweep every configured site, one after the other, those whose leftovers cost money first.

    A site that cannot be swept is a finding too.

    Args:
        instance: knows which runs are at work.
        settings: name the sites.
        sites: leads to them, by cloud.
        reap: remove what is left over; else only tell of it.
    """
    for cloud in sorted(CLOUDS, key=lambda cloud: not cloud.spec.paid):
        for name in cloud.sites(settings):
            look = partial(site_sweep, instance, cloud, sites[cloud.name], name)
            yield from _swept(cloud.spec.whole, name, look, reap=reap)


def site_sweep(instance: dg.DagsterInstance, cloud: Cloud, places: Places, site: str) -> Look:
    """Return the sweep of a site."""
    place = places.place(site, is_live=partial(is_live, instance))
    return place.sweep(lambda: seeding_at(instance, cloud, site))


def seeding_at(instance: dg.DagsterInstance, cloud: Cloud, site: str) -> str | None:
    """Return a run that seeds at a site now: it may have taken over what says another run's name.

    Args:
        instance: knows the runs.
        cloud: the kind of the site.
        site: the site's name.
    """
    return _live_one(instance, dg.RunsFilter(statuses=_AT_WORK, tags={cloud.site_tag: site}))


def working_with(instance: dg.DagsterInstance, digest: str) -> str | None:
    """Return a run that is at work, or will be, with a document that it was handed over.

    Args:
        instance: knows the runs.
        digest: the document's.
    """
    return _live_one(instance, dg.RunsFilter(tags={HANDED_OVER_TAG: digest}))


def _live_one(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> str | None:
    return next((run.run_id for run in instance.get_runs(wanted) if is_live(instance, run.run_id)), None)


def made_here(
    instance: dg.DagsterInstance,
    store: ArtifactStore,
    cloud: Cloud,
    site: str,
    environment: str | None,
    claim: Claim,
    ref: str,
) -> bool:
    """Whether this environment's own runs or documents show that it made what stands at a site.

    A document that a seed left proves it only where it says so: one is left as well of what was found there.

    Args:
        instance: knows the runs of this environment.
        store: holds its documents.
        cloud: the kind of the site.
        site: the site's name.
        environment: its id; None where it has none.
        claim: what the thing says.
        ref: the thing's id there.
    """
    if is_live(instance, claim.run_id) is not None:
        return True
    kind = cloud.asset.to_user_string()
    found = (store.find_document(kind, name, SeededAt) for name in store.list_names(kind))
    made = (site, ref, claim.record_digest, environment)
    return environment is not None and any(
        one is not None and (one.site, one.ref, one.record_digest, one.environment) == made for one in found
    )


def table_of(findings: list[Finding]) -> dg.TableMetadataValue:
    """Return findings as the UI shows them."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"where": one.where, "what": one.what, "verdict": one.verdict, "why": one.why})
            for one in findings
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in ("where", "what", "verdict", "why")]),
    )


def _swept(kind: str, site: str, sweep: Callable[[], Look], *, reap: bool) -> list[Finding]:
    try:
        found = sweep()
        return found.reap() if reap else found.find()
    except HyopsError as error:
        found = not_looked_at(f"the whole {kind}", site, error)
        return [found.turned(found.verdict, redactor().text(found.why))]
