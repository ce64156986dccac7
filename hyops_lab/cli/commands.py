"""`hyops lab`, the local stand-ins, and `hyops demo`. Each command loads its work when it runs."""

from typing import Annotated

import typer

from hyops_assets.cli.commands.mistyped import Commands
from hyops_assets.cli.environment import place, require_there
from hyops_assets.cli.options import Env, Root, Version
from hyops_lab.cli.extra import require_installed

top = typer.Typer()
commands = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    suggest_commands=False,
    help="Local stand-ins: object repository, Proxmox VE, Hetzner Cloud, feed.",
)


@top.command()
def demo(
    iso: Annotated[
        str, typer.Option("--iso", help="Path or URL of a real ISO, or latest; default: a look-alike.")
    ] = "",
    env: Env = None,
    root: Root = None,
) -> None:
    """Take an ISO through the whole graph, into a local lab."""
    require_installed()
    from hyops_lab.cli.demo import run_demo

    run_demo(place(root, env), iso)


@commands.command("iso")
def lab_iso(release: Version = "2026.03.03-0027-rolling", env: Env = None, root: Root = None) -> None:
    """Make a signed VyOS look-alike ISO from Debian packages, or find the one made before."""
    require_installed()
    from hyops_lab.cli.lab import make_iso

    make_iso(place(root, env), release)


@commands.command("up")
def lab_up(
    release: Annotated[
        str, typer.Option("--release", help="Release that its feed and mirror serve; empty for none.")
    ] = "2026.03.03-0027-rolling",
    env: Env = None,
    root: Root = None,
) -> None:
    """Start the lab in the background and write a pipeline.yml that points at it.

    The first time, the release's look-alike ISO is made from Debian packages, which takes minutes.
    """
    require_installed()
    from hyops_lab.cli.lab import up

    up(place(root, env), release)


@commands.command("down")
def lab_down(env: Env = None, root: Root = None) -> None:
    """Stop the lab. What it holds stays for the next start."""
    require_installed()
    from hyops_lab.cli.lab import down

    down(place(root, env))


@commands.command("release")
def lab_release(release: Version, env: Env = None, root: Root = None) -> None:
    """Put a release into the lab's feed, with a look-alike ISO of that version."""
    require_installed()
    from hyops_lab.cli.lab import announce

    announce(require_there(place(root, env)), release)


@commands.command("env")
def lab_env(env: Env = None, root: Root = None) -> None:
    """Print the exports that let other programs reach the running lab: eval "$(hyops lab env)"."""
    require_installed()
    from hyops_lab.cli.lab import print_environment

    print_environment(place(root, env))


@commands.command("boot")
def lab_boot(
    uefi: Annotated[bool, typer.Option("--uefi", help="Boot under UEFI instead of BIOS.")] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Boot the snapshot that was seeded into the lab's Hetzner project, and show what cloud-init came to."""
    require_installed()
    from hyops_lab.cli.boot import boot_image

    boot_image(place(root, env), uefi=uefi)
