"""`hyops cleanup`: what the source document names as safe to remove is looked for, reported, and removed if asked.

What belongs here: which parts there are, the table, and the run record. What may go is decided beside each system.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import dagster as dg
import typer
from rich.table import Table

from hyops_assets.assets.leftovers import made_here, seeding_at, site_sweep, working_with
from hyops_assets.assets.seeding import instance_of
from hyops_assets.cli.acceptance.killed import KilledTrials
from hyops_assets.cli.as_typed import as_typed
from hyops_assets.cli.environment import Place
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.prepare import reach_environment, redactor_of
from hyops_assets.cli.progress import shown
from hyops_assets.cli.run_record import RunRecord, new_run_id, now
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.steps import timed
from hyops_assets.contract.superseding import Policy
from hyops_assets.contract.upkeep import Finding, counted, not_looked_at
from hyops_assets.seeds.partitions import CLOUDS, Cloud
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import default_site
from resources.artifacts.store import ArtifactStore
from resources.handed_over import HandedOverRoom
from resources.handed_over_remains import HandedOverRemains
from resources.local_remains import LocalRemains
from resources.settings import load_settings
from resources.sites.base import Look, Places
from resources.sites.cleanup import CleanupContext
from resources.states.store import StateStore

_UNSOLVED = frozenset({"failed", "unknown"})


@dataclass(frozen=True)
class Part:
    """One part: what it is about, where, and how to come to it."""

    what: str
    where: str
    look: Callable[[], Look]

    def findings(self, *, apply: bool) -> list[Finding]:
        """Return what was found, or what became of it; a part that cannot be looked at is a finding too."""
        try:
            with timed(f"{self.where}: {self.what}"):
                look = self.look()
                found = look.reap() if apply else look.find()
        except HyopsError as error:
            return [not_looked_at(self.what, self.where, error)]
        # A sweep knows its site's name only, and two clouds may have a site of one name.
        return [replace(one, where=self.where) for one in found] if "/" in self.where else found


def run_cleanup(place: Place, *, apply: bool) -> int:
    """Look, and remove where that was asked for; print a table and return the exit status.

    Returns:
        0; 1 where something could not be looked at, was refused, or could not be removed.

    Raises:
        SettingsError: `pipeline.yml` does not validate.
    """
    settings = load_settings(place.root)
    reach_environment(place, settings)
    run_id = new_run_id("cleanup")
    redactor = redactor_of(settings, None, os.environ)
    record = RunRecord(place.root.path / "logs" / "cleanup" / run_id, below=place.root.path, redactor=redactor)
    typer.echo(f"run record: {record.directory}")
    with shown(place.console, ends=False), open_instance(place.root) as instance:
        parts = list(_parts(place, settings, instance))
        planned = _all(parts, apply=False)
        record.write("plan.json", _document(run_id, planned))
        findings = _all(parts, apply=True) if apply else planned
    record.write("result.json", _document(run_id, findings))
    place.console.print(_table(findings, apply=apply))
    typer.echo(redactor.text(counted(findings)))
    if not apply and any(finding.verdict == "remove" for finding in findings):
        typer.echo(as_typed("nothing was changed; remove them: hyops cleanup --apply"))
    return 1 if any(finding.verdict in _UNSOLVED for finding in findings) else 0


def _parts(place: Place, settings: Settings, instance: dg.DagsterInstance) -> Iterator[Part]:
    store, states = ArtifactStore(place.root.artifacts), StateStore(place.root)

    def ground(cloud: Cloud, name: str) -> CleanupContext:
        return CleanupContext(
            where=name,
            instance=instance_of(name, default_site(cloud.sites(settings))),
            states=states.list,
            at_work=partial(seeding_at, instance, cloud, name),
            policy=Policy(settings.upkeep.keep, settings.upkeep.keep_days),
            clock=time.time,
            # What was removed on purpose is not missing there.
            forget=lambda version: store.forget_document(cloud.asset.to_user_string(), cloud.seed(name, version)),
            environment=settings.environment_id,
            proves=partial(made_here, instance, store, cloud, name, settings.environment_id),
        )

    yield Part("killed acceptance runs", "this environment", partial(KilledTrials, place.root, settings))
    # What costs money first, as the sweep does it.
    for cloud in sorted(CLOUDS, key=lambda cloud: not cloud.spec.paid):
        places = cloud.spec.open(settings)
        for name in cloud.sites(settings):
            where = f"{cloud.name}/{name}"
            yield Part("leftovers of seeds", where, partial(site_sweep, instance, cloud, places, name))
            yield Part(f"superseded {cloud.spec.things}", where, partial(_superseded, places, ground(cloud, name)))
            if cloud.spec.beyond_reach:
                yield Part(f"files on the {cloud.spec.whole}", where, partial(_ByHand, name, cloud.spec.beyond_reach))
    yield Part("handed-over documents", "this environment", partial(_handed_over, place, instance))
    yield Part("local remains", "this host", partial(LocalRemains, store, clock=time.time))


@dataclass(frozen=True)
class _ByHand:
    """What only a person with a shell at the site can look for."""

    where: str
    paths: tuple[tuple[str, str], ...]

    def find(self) -> list[Finding]:
        return [
            Finding(f"HybridOps' {path}", self.where, "by hand", why.format(path=path)) for path, why in self.paths
        ]

    def reap(self) -> list[Finding]:
        return self.find()


def _superseded(places: Places, ground: CleanupContext) -> Look:
    return places.place(ground.where).superseded(ground)


def _handed_over(place: Place, instance: dg.DagsterInstance) -> Look:
    return HandedOverRemains(HandedOverRoom(place.root), user_of=partial(working_with, instance), clock=time.time)


def _all(parts: Sequence[Part], *, apply: bool) -> list[Finding]:
    return [finding for part in parts for finding in part.findings(apply=apply)]


def _document(run_id: str, findings: list[Finding]) -> dict[str, object]:
    return {"run_id": run_id, "recorded_at": now(), "findings": [asdict(finding) for finding in findings]}


def _table(findings: list[Finding], *, apply: bool) -> Table:
    table = Table(title="what became of it" if apply else "plan: nothing is changed", title_justify="left")
    for heading in ("where", "what", "verdict", "why"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(finding.where, finding.what, finding.verdict, finding.why)
    return table
