"""Commands about sites: seed, acceptance."""

from typing import Annotated

import typer

from hyops_assets.cli.environment import known_place
from hyops_assets.cli.options import Env, Root

commands = typer.Typer()


@commands.command()
def seed(
    cloud: Annotated[str, typer.Option("--cloud", help="proxmox or hetzner; default: both.")] = "",
    site: Annotated[list[str] | None, typer.Option("--site", help="A site; may be repeated; default: all.")] = None,
    version: Annotated[
        list[str] | None,
        typer.Option("--version", help="A record version; may be repeated; default: what the build slot names."),
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only say who lacks a record, and why; ends with 1 where it is an alarm.")
    ] = False,
    over_daily_cap: Annotated[
        bool, typer.Option("--over-daily-cap", help="Create paid images although the daily cap is reached.")
    ] = False,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Sites that are seeded at the same time.")] = 32,
    env: Env = None,
    root: Root = None,
) -> None:
    """Seed published records to many sites at once, one seed at a time per site; canaries first."""
    from hyops_assets.cli.seed import SeedOptions, print_missing
    from hyops_assets.cli.seed import seed as seed_sites
    from hyops_assets.cli.usage import BadUsage
    from resources.sites.registry import CLOUDS

    names = [row.name for row in CLOUDS]
    if cloud not in ("", *names):
        raise BadUsage(f"--cloud is no {cloud!r}", hint=f"give {' or '.join(names)}")
    where = known_place(root, env)
    if missing and (cloud or site or version):
        raise BadUsage("--missing looks at every site and version", hint="leave --cloud, --site and --version out")
    if missing:
        raise typer.Exit(print_missing(where))
    raise typer.Exit(seed_sites(where, SeedOptions(cloud, site or [], version or [], over_daily_cap, at_once)))


@commands.command()
def acceptance(
    proxmox_site: Annotated[
        str, typer.Option("--proxmox-site", help="A Proxmox site; default: the default one; - leaves it out.")
    ] = "",
    hetzner_site: Annotated[
        str, typer.Option("--hetzner-site", help="A Hetzner site; default: the default one; - leaves it out.")
    ] = "",
    iso: Annotated[
        str,
        typer.Option("--iso", help="Path or URL of an ISO to build first; default: what the build slot names."),
    ] = "",
    max_eur: Annotated[
        float | None, typer.Option("--max-eur", min=0, help="What the run may cost at most, net; required.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only read, and list the calls of a run.")] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Seed one template and one image at real sites, audit them, remove them. HYOPS_ACCEPTANCE=yes opts in."""
    from hyops_assets.cli.acceptance.trial import AcceptanceOptions, run_acceptance

    asked = AcceptanceOptions({"proxmox": proxmox_site, "hetzner": hetzner_site}, iso, max_eur, dry_run)
    raise typer.Exit(run_acceptance(known_place(root, env), asked))
