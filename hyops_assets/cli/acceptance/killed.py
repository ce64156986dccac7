"""What killed acceptance runs left: found by their states, named, and removed by `hyops cleanup` or the next run."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from hyops_assets.assets.run_liveness import is_live
from hyops_assets.assets.run_tags import MODULE_RUN_TAG
from hyops_assets.cli.acceptance.removal import INSTANCE, Made, TriedSite, alone
from hyops_assets.cli.instance import open_instance
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState
from hyops_assets.contract.upkeep import Finding, not_looked_at
from hyops_assets.seeds.partitions import CLOUDS, Cloud
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.states.store import StateStore


class KilledTrials:
    """One look at what acceptance runs left that did not come to their end.

    Args:
        root: of the environment.
        settings: its settings.
    """

    def __init__(self, root: RuntimeRoot, settings: Settings) -> None:
        self._root = root
        self._settings = settings
        self._states = StateStore(root)

    def find(self) -> list[Finding]:
        """Return what is there. Nothing is changed."""
        return self._look(reap=False)

    def reap(self) -> list[Finding]:
        """Remove it, and return what became of each."""
        return self._look(reap=True)

    def reap_alone(self) -> list[Finding]:
        """Remove it as the one that is alone already (`removal.alone`)."""
        return self._each(reap=True) if self._left() else []

    def _look(self, *, reap: bool) -> list[Finding]:
        if not self._left():
            return []
        try:
            with alone(self._root):
                return self._each(reap=reap)
        except Refused as error:
            return [Finding("what an acceptance run makes", str(self._root.path), "keep", error.message)]

    def _left(self) -> list[tuple[StateRef, ModuleState, Cloud]]:
        found = ((ref := StateRef(cloud.spec.module, INSTANCE), self._states.find(ref), cloud) for cloud in CLOUDS)
        return [(ref, state, cloud) for ref, state, cloud in found if state and state.status != "destroyed"]

    def _each(self, *, reap: bool) -> list[Finding]:
        with self._instances() as (live, own):
            return [
                finding
                for ref, state, cloud in self._left()
                for finding in self._of_state(ref, state, cloud, live, own, reap=reap)
            ]

    @contextmanager
    def _instances(self) -> Iterator[tuple[dg.DagsterInstance, dg.DagsterInstance]]:
        with open_instance(self._root) as live, open_instance(self._root, self._root.acceptance_home) as own:
            yield live, own

    def _of_state(
        self,
        ref: StateRef,
        state: ModuleState,
        cloud: Cloud,
        live: dg.DagsterInstance,
        own: dg.DagsterInstance,
        *,
        reap: bool,
    ) -> Iterator[Finding]:
        tags = {MODULE_RUN_TAG: state.run_id}
        runs = [run for run in own.get_run_records(dg.RunsFilter(tags=tags)) if cloud.site_tag in run.dagster_run.tags]
        if not runs and not state.outputs:
            # Killed before its seed began: nothing was made.
            if reap:
                self._states.destroy(ref, run_id=state.run_id)
            return
        what, where = f"what acceptance run {state.run_id} made", str(self._states.path(ref))
        if not runs:
            yield Finding(what, where, "by hand", "its run is not known here: remove what the outputs name, then it")
            return
        for run in runs:
            site = run.dagster_run.tags[cloud.site_tag]
            if is_live(own, run.dagster_run.run_id):
                yield Finding(what, site, "keep", f"run {run.dagster_run.run_id} is at work")
                continue
            try:
                made = self._made(state, cloud, site, run, live, own)
                yield from made.remove() if reap else _named(made)
            except HyopsError as error:
                yield not_looked_at(what, site, error)

    def _made(
        self,
        state: ModuleState,
        cloud: Cloud,
        site: str,
        run: dg.RunRecord,
        live: dg.DagsterInstance,
        own: dg.DagsterInstance,
    ) -> Made:
        version = run.dagster_run.tags["dagster/partition/version"]
        contract = ArtifactStore(self._root.artifacts).find_document("published_contract", version, Contract)
        if contract is None:
            raise Refused(f"the contract of {version} is gone from here", hint="register the record again")
        since = run.create_timestamp.timestamp()
        if cloud.spec.trial is None:
            raise Refused(f"no site of {cloud.name} is tried by this version", hint="remove what the state names")
        there = TriedSite(cloud, site, cloud.spec.trial(self._settings, site))
        return Made(self._root, self._settings, live, own, state.run_id, there, contract.record, since)


def _named(made: Made) -> list[Finding]:
    why = f"acceptance run {made.run_id} was killed, or could not remove it"
    return [Finding(what, made.site.name, "remove", why) for what in made.remaining()]
