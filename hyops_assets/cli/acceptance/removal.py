"""Removing what an acceptance run made: its own at its end, and a killed one's by the next.

A thing is an acceptance run's where it carries the id of a run of the acceptance runs' own Dagster instance that is
tagged with that acceptance run. Its state and those tags are written before anything is made, so what a killed run
made needs no hand: they say where to look, and for what.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import dagster as dg
from filelock import FileLock, Timeout

from hyops_assets.assets.leftovers import seeding_at
from hyops_assets.assets.run_tags import MODULE_RUN_TAG
from hyops_assets.assets.seeding import instance_of
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.record import Record
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.superseding import mentioned
from hyops_assets.contract.upkeep import Finding
from hyops_assets.seeds.history import SeedLog
from hyops_assets.seeds.partitions import Cloud
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import default_site
from resources.artifacts.store import ArtifactStore
from resources.settings import make_private
from resources.sites.trial import Trial
from resources.states.store import StateStore

INSTANCE = "acceptance"
"""The state instance of what an acceptance run seeds: no live slot ever names what is about to be removed."""


@dataclass(frozen=True)
class TriedSite:
    """A site at which an acceptance run makes something.

    Attributes:
        cloud: whose partitions its seeds are.
        name: of the site.
        trial: the cloud's own part.
    """

    cloud: Cloud
    name: str
    trial: Trial


@dataclass(frozen=True)
class Made:
    """What one acceptance run made at one site, as long as it is not removed.

    Attributes:
        root: the environment.
        settings: its settings.
        live: the environment's own Dagster instance.
        own: that of acceptance runs.
        run_id: of the acceptance run.
        site: where.
        record: what was seeded.
        since: when the acceptance run began, or later, but before it made anything: in epoch seconds.
    """

    root: RuntimeRoot
    settings: Settings
    live: dg.DagsterInstance
    own: dg.DagsterInstance
    run_id: str
    site: TriedSite
    record: Record
    since: float

    @property
    def state(self) -> StateRef:
        """The slot that its seed wrote."""
        return StateRef(self.site.cloud.spec.module, INSTANCE)

    def remaining(self) -> list[str]:
        """Return what is still there. Reads only."""
        return self.site.trial.remaining(self._runs())

    def remove(self) -> list[Finding]:
        """Remove it, and return what became of each thing. Where nothing is left, its state and document go too.

        Raises:
            HyopsError: what is there could not be read.
        """
        runs, states = self._runs(), StateStore(self.root)
        needed = partial(who_needs, self.live, states, self.settings, self.site, self.record.version, self.since)
        done = self.site.trial.undo(self.record, runs, needed)
        left = self.site.trial.remaining(runs)
        reported = {finding.what for finding in done if finding.verdict != "removed"}
        done += [Finding(what, self.site.name, "failed", "it is still there") for what in left if what not in reported]
        if not left:
            self._forget(states)
            states.destroy(self.state, run_id=self.run_id)
        return done

    def _runs(self) -> frozenset[str]:
        runs = self.own.get_runs(dg.RunsFilter(tags={MODULE_RUN_TAG: self.run_id}))
        return frozenset(run.run_id for run in runs)

    def _forget(self, states: StateStore) -> None:
        """Forget the document of what was removed; that of another run's seed stays.

        The state is written before the document: where there is one of this run's, the state names what it names.
        """
        store, asset = ArtifactStore(self.root.artifacts), self.site.cloud.asset.to_user_string()
        cell = str(self.site.cloud.seed(self.site.name, self.record.version))
        document, state = store.find_document(asset, cell, SeededAt), states.find(self.state)
        ours = state is not None and state.run_id == self.run_id
        if document is not None and state is not None and ours and document.ref in mentioned([(self.state, state)]):
            store.forget_document(asset, cell)


@contextmanager
def alone(root: RuntimeRoot) -> Iterator[None]:
    """Hold what a live acceptance run holds: its holder knows that no other one of this environment lives.

    The kernel frees it when its holder dies.

    Raises:
        Refused: another one is at work.
    """
    make_private(root.acceptance_home, below=root.path)
    lock = FileLock(root.acceptance_home / ".at-work.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise Refused("an acceptance run is at work in this environment", hint="wait for it to end") from error
    try:
        yield
    finally:
        lock.release()


def at_work(live: dg.DagsterInstance, site: TriedSite) -> str | None:
    """Return a run of the environment that seeds at a site now."""
    return seeding_at(live, site.cloud, site.name)


def who_needs(
    live: dg.DagsterInstance,
    states: StateStore,
    settings: Settings,
    site: TriedSite,
    version: str,
    since: float,
    ref: str,
) -> str | None:
    """Return what needs what an acceptance run made: a run at work there, one that adopted it, a state; else None.

    Args:
        live: the environment's own instance.
        states: the environment's.
        settings: the environment's.
        site: where it stands.
        version: of the record.
        since: when the acceptance run began, in epoch seconds.
        ref: the snapshot's id, or the VMID.
    """
    if busy := at_work(live, site):
        return f"run {busy} seeds at this site"
    cell = str(site.cloud.seed(site.name, version))
    adopted = SeedLog(live, site.cloud).seeded([cell]).get(cell)
    if adopted is not None and adopted.at > since:
        return f"run {adopted.run_id} seeded it here meanwhile"
    configured = site.cloud.sites(settings)
    # VMIDs are the same in every cluster: what another site's seed calls 9200 is not here.
    elsewhere = {instance_of(name, default_site(configured)) for name in configured if name != site.name}
    concerned = [
        (other, state)
        for other, state in states.list()
        if not (other.module in site.cloud.spec.words.naming and other.instance in {*elsewhere, INSTANCE})
    ]
    named = mentioned(concerned).get(ref)
    return f"{named} names it" if named else None
