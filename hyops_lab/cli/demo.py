"""`hyops demo`: an ISO through the whole graph into a lab, and a table of what came out."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import dagster as dg
from rich.table import Table
from rich.text import Text

from hyops_assets.cli.environment import Place
from hyops_assets.cli.graph import Graph, Ran, Said
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.progress import in_bytes, shown
from hyops_assets.cli.seed_runs import Cell, SeedRuns
from hyops_assets.cli.source_iso import Source, source_of
from hyops_assets.contract.evidence import Contract, SignedIso
from hyops_assets.contract.references import DEFAULT_BUILD_INSTANCE, IMAGE_BUILD, IMAGE_SEED, TEMPLATE_SEED, StateRef
from hyops_assets.contract.steps import timed
from hyops_assets.seeds.partitions import CLOUDS
from hyops_lab.cli import lab
from hyops_lab.ensemble import LabFiles
from hyops_lab.hetzner.confinement import require_confinement
from resources.artifacts.store import ArtifactStore
from resources.states.store import StateStore

RELEASE = "2026.03.03-0027-rolling"
"""The release of the source document's verified example."""

STATES = (StateRef(IMAGE_BUILD, DEFAULT_BUILD_INSTANCE), StateRef(TEMPLATE_SEED), StateRef(IMAGE_SEED))


def run_demo(place: Place, iso: str) -> None:
    """Run the graph once for one ISO, in the lab, and print what came out.

    Raises:
        RunFailed: a run of the graph failed.
        Refused: the environment is not a lab's.
        CellFailed: this host lets the lab's Hetzner servers start not at all; nothing was begun.
    """
    require_confinement()
    console = place.console
    console.print(Text.assemble(("HyOps VyOS image pipeline", "bold"), f": demo in {place.root.path}"))
    with shown(console), _opened_meanwhile(place) as instance_of_lab:
        made = None if iso else _lookalike()
        source = source_of(iso) if iso else Source(RELEASE)
        instance = instance_of_lab()
        if made is not None:
            lab.announce_iso(place.root, made)
        before = LabFiles(place.root.lab).trace().mutations()
        graph = Graph(place.root, instance)
        runs = {"build": graph.build(source.release, source_iso_url=source.source_iso_url)}
        runs |= _seeded(place, graph, source.release)
        asked = LabFiles(place.root.lab).trace().mutations() - before
    _print_table(place, source.release, runs, asked)


def _seeded(place: Place, graph: Graph, version: str) -> dict[str, Ran]:
    """Seed both clouds of the lab at once, as `hyops seed` does.

    Raises:
        RunFailed: a seed failed; the other one came to its end.
    """
    at_once = SeedRuns(
        graph,
        at_once=len(CLOUDS),
        over_daily_cap=False,
        ended=lambda ended: None,
        stopping=lambda: place.console.print("stopping: the seeds at work end first; Ctrl-C again cuts them off"),
    )
    runs: dict[str, Ran] = {}
    for ended in at_once.seed([Cell(cloud, lab.SITE, version) for cloud in CLOUDS]):
        if ended.error is not None:
            raise ended.error
        if ended.ran is not None:
            runs[ended.cell.cloud.name] = ended.ran
    return runs


def _lookalike() -> lab.LabIso:
    """Make or find the look-alike ISO."""
    with timed("look-alike ISO") as progress:
        made = lab.lookalike(RELEASE, progress)
        progress.ended("made" if made.made else "adopted", made.iso.stat().st_size)
    return made


@contextmanager
def _opened_meanwhile(place: Place) -> Iterator[Callable[[], dg.DagsterInstance]]:
    """Start the lab and open Dagster's instance beside what the block does.

    Yields:
        What waits until the lab serves, and returns the instance, or raises why not.
    """
    with ExitStack() as running, ThreadPoolExecutor(1, thread_name_prefix="lab") as beside:

        def opened() -> dg.DagsterInstance:
            running.enter_context(lab.lab_running(place.root))
            return open_instance(place.root)

        yield beside.submit(opened).result


def _print_table(place: Place, version: str, runs: dict[str, Ran], asked: Counter[str]) -> None:
    console = place.console
    store = ArtifactStore(place.root.artifacts)
    iso = store.read_document("vyos_iso", version, SignedIso)
    contract = store.read_document("published_contract", version, Contract)
    build, template, image = (
        runs["build"].metadata,
        runs["proxmox"].metadata["proxmox_template"],
        runs["hetzner"].metadata["hetzner_image"],
    )
    table = Table(title=f"{contract.record.key} {version}", title_justify="left", show_lines=False)
    for heading in ("what", "outcome", "size", "sha256 or id"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "sha256 or id")
    record = contract.record
    outcome = {name: str(values.get("outcome", "")) for name, values in build.items()}
    table.add_row("ISO", outcome["vyos_iso"], in_bytes(iso.size_bytes), iso.sha256)
    table.add_row("signature key", "verified", "", f"{iso.signature.key_name} {iso.signature.key_id}")
    table.add_row("disk", outcome["qcow2_record"], in_bytes(record.disk.size_bytes), record.disk.sha256)
    for format_, variant in record.variants.items():
        asset = f"{format_.replace('.', '_')}_record"
        table.add_row(f"{format_} record", outcome[asset], in_bytes(variant.size_bytes), variant.sha256)
    published = sum(variant.size_bytes for variant in record.variants.values())
    table.add_row("contract", outcome["published_contract"], in_bytes(published), contract.record_digest)
    table.add_row(
        "Proxmox template",
        str(template["outcome"]),
        in_bytes(record.disk.size_bytes),
        f"VMID {template['vmid']} {template['name']} disk {template['disk_sha256']}",
    )
    table.add_row(
        "Hetzner image",
        str(image["outcome"]),
        in_bytes(record.disk.size_bytes),
        f"snapshot {image['image_ref']} readback {image['readback_sha256']}",
    )
    console.print(table)
    changed = (build["published_contract"]["state_changed"], *(seed["state_changed"] for seed in (template, image)))
    states = StateStore(place.root)
    for ref, written in zip(STATES, changed, strict=True):
        console.print(f"state  {'written  ' if written else 'unchanged'} {states.path(ref)}", soft_wrap=True)
    sent = _bytes_sent(build["published_contract"], template, image)
    adopted = not sent and not asked.total() and not any(changed)
    console.print(
        f"lab    mutating calls: proxmox {asked['proxmox']}, hetzner {asked['hetzner']}; bytes sent: {sent:,}"
        + ("; everything was adopted" if adopted else "")
    )
    for format_ in record.variants:
        console.print(f"{format_:<6} {contract.urls[format_]}", soft_wrap=True)
    console.print(f"record {contract.record_url}", soft_wrap=True)
    console.print(
        f"       served while the lab is up: {lab.command(place, 'up')}; other programs reach it after "
        f'eval "$({lab.command(place, "env")})"',
        soft_wrap=True,
    )
    console.print(f"UI     make dev   (or: {' '.join(['hyops dev', place.flag]).strip()})")


def _bytes_sent(contract: Said, template: Said, image: Said) -> int:
    """Return what went over a wire: to the repository, to the Proxmox node, to the server that wrote the image."""
    return sum(
        int(str(said[name]))
        for said, name in ((contract, "bytes_sent"), (template, "bytes_transferred"), (image, "bytes_sent"))
    )
