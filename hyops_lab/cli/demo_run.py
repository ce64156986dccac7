"""What `hyops demo` does with its ISO: the whole graph in a lab, and a table of what came out.

It loads Dagster: `demo.py` has it loaded while the look-alike is being made.
"""

from collections import Counter

import dagster as dg
from rich.table import Table

from hyops_assets.cli.environment import Place
from hyops_assets.cli.graph import Graph, Ran, Said
from hyops_assets.cli.progress import in_bytes
from hyops_assets.cli.seed_runs import Cell, SeedRuns
from hyops_assets.cli.source_iso import Source
from hyops_assets.contract.evidence import Contract, SignedIso
from hyops_assets.contract.references import DEFAULT_BUILD_INSTANCE, IMAGE_BUILD, IMAGE_SEED, TEMPLATE_SEED, StateRef
from hyops_assets.seeds.partitions import CLOUDS
from hyops_lab.cli import lab
from hyops_lab.ensemble import LabFiles
from resources.artifacts.store import ArtifactStore
from resources.states.store import StateStore

STATES = (StateRef(IMAGE_BUILD, DEFAULT_BUILD_INSTANCE), StateRef(TEMPLATE_SEED), StateRef(IMAGE_SEED))


def run_through(place: Place, instance: dg.DagsterInstance, source: Source) -> tuple[dict[str, Ran], Counter[str]]:
    """Build and publish a release's record, and seed it into both clouds of the lab.

    Returns:
        The run of each step by name, `build`, `proxmox` and `hetzner`; and each cloud's mutating calls.

    Raises:
        RunFailed: a run of the graph failed.
    """
    before = LabFiles(place.root.lab).trace().mutations()
    graph = Graph(place.root, instance)
    runs = {"build": graph.build(source.release, source_iso_url=source.source_iso_url)}
    runs |= _seeded(place, graph, source.release)
    return runs, LabFiles(place.root.lab).trace().mutations() - before


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


def print_table(place: Place, version: str, runs: dict[str, Ran], mutating_calls: Counter[str]) -> None:
    """Print what the runs made, with its digests and ids, and where it is read."""
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
    adopted = not sent and not mutating_calls.total() and not any(changed)
    console.print(
        f"lab    mutating calls: proxmox {mutating_calls['proxmox']}, hetzner {mutating_calls['hetzner']}; "
        f"bytes sent: {sent:,}" + ("; everything was adopted" if adopted else "")
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
        int(str(metadata[name]))
        for metadata, name in ((contract, "bytes_sent"), (template, "bytes_transferred"), (image, "bytes_sent"))
    )
