"""`hyops seed`: published records to many sites at once, from one process."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from hyops_assets.cli.apply import ended_as_by_hand
from hyops_assets.cli.environment import Place
from hyops_assets.cli.graph import Graph
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.prepare import reach_environment
from hyops_assets.cli.progress import shown
from hyops_assets.cli.seed_runs import Cell, Ended, SeedRuns
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.references import IMAGE_ARTIFACT, IMAGE_BUILD
from hyops_assets.seeds.canary_and_cap import wave_waits
from hyops_assets.seeds.history import SeedLog
from hyops_assets.seeds.owed import owed_seeds
from hyops_assets.seeds.partitions import CLOUDS, Cloud
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.settings import load_settings
from resources.states.current_record import current_version
from resources.states.store import StateStore

_MOST_LISTED = 5
"""Versions that a refusal names."""


@dataclass(frozen=True)
class SeedOptions:
    """What the command line said.

    Attributes:
        cloud: `proxmox`, `hetzner`, or empty for both.
        sites: by name; empty for every configured one.
        versions: record versions; empty for the one that the build slot names.
        over_daily_cap: create images although the cap is reached.
        at_once: sites that are seeded at the same time.
    """

    cloud: str
    sites: Sequence[str]
    versions: Sequence[str]
    over_daily_cap: bool
    at_once: int


def seed(place: Place, asked: SeedOptions) -> int:
    """Seed; canaries first unless sites are named. Return the exit status: 1 where a seed failed or was held back.

    Raises:
        Refused: nothing is chosen, or a version that was never published.
        SettingsError: no such site.
        KeyboardInterrupt: the person at the shell ended it; the seeds at work came to their end.
    """
    reach_environment(place, load_settings(place.root))
    # A seed's end is a line of its own: what is shown besides is what goes on for long.
    with ended_as_by_hand(), shown(place.console, ends=False), open_instance(place.root) as instance:
        graph = Graph(place.root, instance)
        cells = _chosen(place, asked, graph)
        runs = SeedRuns(
            graph,
            at_once=asked.at_once,
            over_daily_cap=asked.over_daily_cap,
            ended=lambda ended: _print_ended(place.console, ended),
            stopping=lambda: place.console.print(
                "stopping: the seeds at work end first; Ctrl-C again cuts them off, and the next run resumes them",
                soft_wrap=True,
            ),
        )
        if asked.sites:
            return _status(runs.seed(cells))
        first = [cell for cell in cells if cell.cloud.sites(graph.settings)[cell.site].canary]
        done = runs.seed(first)
        held = _held(graph, [cell for cell in cells if cell not in first])
        for cell, why in held.items():
            place.console.print(f"{_place(cell) + ':':<32} {cell.version:<32} held back: {why}")
        done += runs.seed([cell for cell in cells if cell not in first and cell not in held])
        return _status(done) or int(bool(held))


def print_missing(place: Place) -> int:
    """Print which sites lack a record, and why, as the standing checks say it; return 1 where a person has to look."""
    with open_instance(place.root) as instance:
        settings = Graph(place.root, instance).settings
        named = current_version(StateStore(place.root))
        found = [
            (cloud, one)
            for cloud in CLOUDS
            for one in owed_seeds(cloud, settings, SeedLog(instance, cloud), named=named, now=time.time())
        ]
    if not found:
        place.console.print(f"every site holds {named}" if named else "no record is named by the build slot")
        return 0
    table = Table("cloud", "site", "version", "standing", "why")
    for cloud, one in found:
        table.add_row(cloud.name, one.site, one.version, one.standing, one.why)
    place.console.print(table)
    return int(any(one.alarms for _, one in found))


def _chosen(place: Place, asked: SeedOptions, graph: Graph) -> list[Cell]:
    clouds = [cloud for cloud in CLOUDS if asked.cloud in ("", cloud.name)]
    _require_sites(clouds, asked.sites, graph.settings)
    named = current_version(StateStore(place.root))
    versions = list(asked.versions) or ([named] if named else [])
    if not versions:
        raise Refused("the build slot names no record", hint="build one, or name it: --version")
    events = SeedLog(graph.instance, CLOUDS[0]).published()
    published = {*events, *_vouched(graph)}
    if unknown := [version for version in versions if version not in published]:
        last = sorted(published, key=lambda version: events.get(version, 0), reverse=True)[:_MOST_LISTED]
        adopt = "what stands elsewhere is adopted by: hyops apply --module core/shared/vyos-image-build"
        raise Refused(
            f"no contract of {', '.join(unknown)} was published here (published last: {', '.join(last) or 'none'})",
            hint=f"name one of them; {adopt}" if last else adopt,
        )
    return [
        Cell(cloud, site, version)
        for cloud in clouds
        for site in _sites(cloud, graph.settings, asked.sites)
        for version in versions
    ]


def _require_sites(clouds: Sequence[Cloud], named: Collection[str], settings: Settings) -> None:
    """See that every site that is named is there, before a record is looked for: it is the cheaper one to mend.

    Raises:
        Refused: one is not, or none is configured at all.
    """
    there = {cloud.name: sorted(cloud.sites(settings)) for cloud in clouds}
    known = ", ".join(f"{cloud}/{site}" for cloud, sites in there.items() for site in sites)
    where = " or ".join(f"sites.{cloud}" for cloud in there)
    if lost := sorted(set(named) - {site for sites in there.values() for site in sites}):
        raise Refused(
            f"no site {', '.join(lost)} is configured (configured: {known or 'none'})",
            hint=f"name one of them, without its cloud, or add it to config/pipeline.yml under {where}",
        )
    if not known:
        raise Refused("no site is configured", hint=f"add one to config/pipeline.yml under {where}")


def _vouched(graph: Graph) -> dict[str, str]:
    """Return the records, by version and digest, that a state and the store vouch for.

    A state names a record once its contract was read back. So an environment goes on whose history in Dagster was
    lost: a moved host, a restored backup.
    """
    store = ArtifactStore(graph.root.artifacts)
    vouched: dict[str, str] = {}
    for ref, state in StateStore(graph.root).list():
        version, digest = state.outputs.get("record_version"), state.outputs.get("record_digest")
        if ref.module not in (IMAGE_BUILD, IMAGE_ARTIFACT) or state.status != "ok" or not isinstance(version, str):
            continue
        contract = store.find_document("published_contract", version, Contract)
        if contract is not None and contract.record_digest == digest:
            vouched[version] = contract.record_digest
    return vouched


def _sites(cloud: Cloud, settings: Settings, named: Collection[str]) -> list[str]:
    return sorted(name for name in cloud.sites(settings) if not named or name in named)


def _held(graph: Graph, cells: Sequence[Cell]) -> dict[Cell, str]:
    """Return which cells their canaries hold back. A seed by hand need not wait for the pause."""
    seeding = graph.settings.seeding.model_copy(update={"rest_after_minutes": 0})
    settings = graph.settings.model_copy(update={"seeding": seeding})
    held: dict[Cell, str] = {}
    vouched = _vouched(graph)
    for cloud in CLOUDS:
        keys = {str(cloud.seed(cell.site, cell.version)): cell for cell in cells if cell.cloud is cloud}
        waits = wave_waits(cloud, keys, settings, SeedLog(graph.instance, cloud), now=time.time(), vouched=vouched)
        held |= {keys[key]: why for key, why in waits.items()}
    return held


def _print_ended(console: Console, ended: Ended) -> None:
    cell = ended.cell
    console.print(f"{ended.where:<32} {cell.version:<32} {ended.outcome:<10} {ended.seconds:>8.1f} s")
    if ended.error is not None:
        console.print(f"  {ended.error}")


def _place(cell: Cell) -> str:
    return f"{cell.cloud.name}/{cell.site}"


def _status(done: Sequence[Ended]) -> int:
    return int(any(ended.error is not None for ended in done))
