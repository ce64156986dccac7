"""Commands about this host and its environments: dev, init, preflight, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from hyops_assets.cli.environment import named_place, place, require_there
from hyops_assets.cli.options import Env, Inputs, Instance, ModuleRoot, Root

commands = typer.Typer()


Port = Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")]
WithoutGuard = Annotated[
    bool, typer.Option("--without-guard", help="Serve it to every page and every user of this host.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why it is served without its guard.")]


@commands.command()
def dev(
    port: Port = 3000,
    read_only: ReadOnly = False,
    without_guard: WithoutGuard = False,
    reason: Reason = "",
    env: Env = None,
    root: Root = None,
) -> None:
    """Open the Dagster UI with its daemon, on loopback, on this environment's instance."""
    from hyops_assets.cli.dev import run_dev, serving_of

    serving = serving_of(port, read_only=read_only, without_guard=without_guard, reason=reason)
    run_dev(require_there(place(root, env)), serving)


@commands.command()
def ui(
    port: Port = 3000,
    read_only: ReadOnly = False,
    without_guard: WithoutGuard = False,
    reason: Reason = "",
    env: Env = None,
    root: Root = None,
) -> None:
    """Open the Dagster UI alone, beside a daemon that runs as a service."""
    from hyops_assets.cli.dev import run_ui, serving_of

    serving = serving_of(port, read_only=read_only, without_guard=without_guard, reason=reason)
    run_ui(require_there(place(root, env)), serving)


@commands.command(name="open")
def open_(env: Env = None, root: Root = None) -> None:
    """Print a link that opens the running UI once, within a minute."""
    from hyops_assets.ui.serve import open_link

    where = place(root, env)
    where.console.print(open_link(where.root), soft_wrap=True)


@commands.command()
def init(
    proxmox: Annotated[
        str | None, typer.Option("--proxmox", help="Host of a Proxmox VE node's API; with :port if not 8006.")
    ] = None,
    node: Annotated[str | None, typer.Option("--node", help="The node's name; the host's first label.")] = None,
    token_id: Annotated[str | None, typer.Option("--token-id", help="Id of its token; 'hyops@pve!seed'.")] = None,
    storage: Annotated[str | None, typer.Option("--storage", help="Of templates' disks; local-lvm.")] = None,
    import_storage: Annotated[
        str | None, typer.Option("--import-storage", help="With content type import; local.")
    ] = None,
    bridge: Annotated[str | None, typer.Option("--bridge", help="Of templates; vmbr0.")] = None,
    ca_file: Annotated[Path | None, typer.Option("--ca-file", help="Authority of the node's certificate.")] = None,
    hetzner: Annotated[bool, typer.Option("--hetzner", help="A project of Hetzner Cloud.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    template_status: Annotated[
        bool, typer.Option("--template-status", help="End with 10, as HybridOps' init, where it was written.")
    ] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Write a commented pipeline.yml, with the sites that are named: each is looked at first, if its token is set."""
    from hyops_assets.cli.init import TEMPLATE_WRITTEN, write_template
    from hyops_assets.cli.init_sites import AskedSites

    asked = AskedSites(proxmox, node, token_id, storage, import_storage, bridge, ca_file, hetzner)
    write_template(place(root, env), force=force, sites=asked)
    raise typer.Exit(TEMPLATE_WRITTEN if template_status else 0)


@commands.command()
def preflight(
    module: Annotated[
        str | None, typer.Option("--module", help="Module whose run is meant; default: the host.")
    ] = None,
    inputs: Inputs = None,
    state_instance: Instance = "",
    module_root: ModuleRoot = None,
    target: Annotated[str, typer.Option("--target", help="Only the sites of one kind: proxmox or hetzner.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="End with 12 where a program is missing.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Look whether host, repository, sites and a module's inputs are ready. Ends with 0, 11, 12 or 30."""
    from hyops_assets.cli.preflight import run_preflight
    from hyops_assets.cli.prepare import ModuleCommand

    where = named_place(root, env) if module else place(root, env)
    asked = ModuleCommand("preflight", where, module, inputs, state_instance, module_root) if module else None
    raise typer.Exit(run_preflight(where, asked, target=target, strict=strict, as_json=json_))


@commands.command()
def doctor(env: Env = None, root: Root = None) -> None:
    """Examine this host: programs, versions, an accelerator that really works."""
    from hyops_assets.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(place(root, env).root))
