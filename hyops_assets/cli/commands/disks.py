"""Commands about disks and records, wherever they lie: inspect, convert, reproduce."""

from pathlib import Path
from typing import Annotated

import typer

from hyops_assets.cli.environment import place, require_there
from hyops_assets.cli.options import Env, Root

commands = typer.Typer()


@commands.command()
def reproduce(
    evidence: Annotated[str, typer.Argument(help="Path or https URL of a record's evidence (evidence_url).")],
    iso: Annotated[Path | None, typer.Option("--iso", help="The ISO; default: the one in the artifact store.")] = None,
    env: Env = None,
    root: Root = None,
) -> None:
    """Build a published record again from its ISO and package lock, and compare every byte."""
    from hyops_assets.cli.reproduce import reproduce as build_again

    build_again(place(root, env), evidence, iso)


@commands.command()
def rebuild(
    version: Annotated[str, typer.Argument(help="Published release or revision, such as 2026.03.03-0027-rolling.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the new record's evidence.")],
    env: Env = None,
    root: Root = None,
) -> None:
    """Build a published release again, as the next free revision (-r2, -r3 …)."""
    from hyops_assets.cli.rebuild import rebuild as build_revision

    build_revision(require_there(place(root, env)), version, reason)


@commands.command()
def inspect(
    disk: Annotated[str, typer.Argument(metavar="DISK|URL", help="qcow2, raw or raw.xz: a path or an https URL.")],
    json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    record: Annotated[
        str | None, typer.Option("--record", help="Path or URL of the record.json or evidence that it must fulfil.")
    ] = None,
    iso: Annotated[Path | None, typer.Option("--iso", help="The ISO whose squashfs it must hold.")] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help="What the file itself must have.")] = None,
    console: Annotated[str | None, typer.Option("--console", help="Console of the boot menu, such as ttyS0.")] = None,
    sbom: Annotated[Path | None, typer.Option("--sbom", help="Write a CycloneDX bill of materials there.")] = None,
    former: Annotated[
        str | None, typer.Option("--former", help="Disk, or record.json beside its qcow2, to compare packages with.")
    ] = None,
    scratch: Annotated[Path | None, typer.Option("--scratch", help="Directory with room for the disk.")] = None,
    most_gib: Annotated[int, typer.Option("--most-gib", min=1, help="Most that a URL may answer, in GiB.")] = 8,
) -> None:
    """Ask a disk every question of the gates, without mounting it. Ends with 1 where an answer is wrong."""
    from hyops_assets.cli.inspect import InspectOptions, run_inspect

    asked = InspectOptions(disk, json_, record, iso, sha256, console, sbom, former, scratch, most_gib << 30)
    raise typer.Exit(run_inspect(asked))


@commands.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Disk image: raw, qcow2 or raw.xz.")],
    destination: Annotated[Path, typer.Argument(help="File to write: .raw.xz, .qcow2, .raw or .img.")],
    format_: Annotated[str | None, typer.Option("--format", help="raw.xz, qcow2 or raw, whatever the name.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="What the source is: raw, qcow2 or raw.xz.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Encoding threads (default: all cores).")] = None,
    block_size: Annotated[str | None, typer.Option(help="Block of a raw.xz, such as 512K: a power of two.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the destination.")] = False,
) -> None:
    """Write a disk image in another format, on all cores, with its digests."""
    from hyops_assets.cli.convert import convert as convert_disk

    convert_disk(
        source,
        destination,
        format_=format_,
        source_format=from_,
        threads=threads,
        block_size=block_size,
        force=force,
    )
