"""When seeds are requested by themselves: after a contract's blocking checks passed, at sites that seed by themselves.

The condition and its traps: a seed is asked for when its contract was materialized anew since the seed was last
requested, every blocking check of that version passed, and nothing of it is running. A seed that finds its digest in
place adopts it and ends, so asking again is free; *losing* a request is not, which is why the trigger carries event
times (`newly_updated`, `newly_requested`) and is not combined inside its `since`. A failed run is asked for once more.
"""

from collections.abc import Collection

import dagster as dg

from hyops_assets.partitions import site_of


class AtSites(dg.AutomationCondition[dg.AssetKey]):
    """True for the partitions whose site is one of these: money is spent only where the configuration says so."""

    def __init__(self, sites: Collection[str]) -> None:
        self.sites = frozenset(sites)

    @property
    def name(self) -> str:
        """What the UI shows for this operand."""
        return f"site is one of: {', '.join(sorted(self.sites)) or 'none'}"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Keep the candidates at these sites."""
        candidates = context.candidate_subset
        keys = {key for key in candidates.expensively_compute_partition_keys() if site_of(key) in self.sites}
        return dg.AutomationResult(context, candidates.compute_intersection_with_partition_keys(keys))


def seed_what_was_published(sites: Collection[str]) -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition under which a seed is requested, for the sites that seed by themselves."""
    condition = dg.AutomationCondition
    published_anew = condition.any_deps_match(condition.newly_updated()).since(condition.newly_requested())
    ready = (
        ~condition.any_deps_missing()
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
        & condition.all_deps_blocking_checks_passed()
    )
    return (published_anew | condition.execution_failed().newly_true()) & ready & AtSites(sites)
