"""The `hyops` command: parsing, and nothing else. Each subcommand imports its work when it runs."""

import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from hyops_assets.cli.environment import ANNOUNCED, Place, named_place, place, redacted
from hyops_assets.cli.usage import BadUsage, NotStarted
from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.space import FULL

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Build once, publish once, seed many: the HyOps VyOS image pipeline from a shell.",
)
lab = typer.Typer(no_args_is_help=True, help="Local stand-ins: object repository, Proxmox VE, Hetzner Cloud, feed.")
app.add_typer(lab, name="lab")

_CANCELLED = 128 + signal.SIGINT

Env = Annotated[
    str | None,
    typer.Option(
        "--env", help="Environment below ~/.hybridops/envs; else $HYOPS_RUNTIME_ROOT, then $HYOPS_ENV count."
    ),
]
Root = Annotated[Path | None, typer.Option("--root", help="Runtime root, instead of an environment.")]
Module = Annotated[str, typer.Option("--module", help="Module reference, such as core/shared/vyos-image-build.")]
Inputs = Annotated[Path | None, typer.Option("--inputs", help="YAML file with the module's inputs.")]
Instance = Annotated[
    str, typer.Option("--state-instance", help="State slot, as in <module>#<instance>; default: the module's own.")
]
ModuleRoot = Annotated[
    Path | None, typer.Option("--module-root", help="Directory with the modules' specs (default: modules).")
]
SkipPreflight = Annotated[bool, typer.Option("--skip-preflight", help="Do not look at what the run needs.")]
BypassReason = Annotated[
    str, typer.Option("--preflight-bypass-reason", help="Why; apply demands it with --skip-preflight.")
]
OutDir = Annotated[Path | None, typer.Option("--out-dir", help="Where the run record goes, instead of <root>/logs.")]
Version = Annotated[str, typer.Argument(help="VyOS release, such as 2026.03.03-0027-rolling.")]


@app.command()
def demo(
    iso: Annotated[
        str, typer.Option("--iso", help="Path or URL of a real ISO, or latest; default: a look-alike.")
    ] = "",
    env: Env = None,
    root: Root = None,
) -> None:
    """Take an ISO through the whole graph, into a local lab."""
    from hyops_assets.cli.demo import run_demo

    run_demo(_place(root, env), iso)


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 3000, env: Env = None, root: Root = None
) -> None:
    """Open the Dagster UI with its daemon, on loopback, on this environment's instance."""
    from hyops_assets.cli.dev import run_dev

    run_dev(_place(root, env), port)


@app.command()
def validate(
    module: Module,
    inputs: Inputs = None,
    skip_preflight: SkipPreflight = False,
    bypass_reason: BypassReason = "",
    state_instance: Instance = "",
    module_root: ModuleRoot = None,
    out_dir: OutDir = None,
    env: Env = None,
    root: Root = None,
) -> None:
    """Resolve and validate a module's inputs; write a run record, and no state."""
    from hyops_assets.cli.prepare import Asked
    from hyops_assets.cli.validate import validate_module

    where = named_place(root, env)
    validate_module(
        Asked("validate", where, module, inputs, state_instance, module_root, skip_preflight, bypass_reason, out_dir)
    )


@app.command()
def plan(
    module: Module,
    inputs: Inputs = None,
    skip_preflight: SkipPreflight = False,
    bypass_reason: BypassReason = "",
    state_instance: Instance = "",
    module_root: ModuleRoot = None,
    out_dir: OutDir = None,
    env: Env = None,
    root: Root = None,
) -> None:
    """Say what apply would do: what is adopted, what is made, under which names. Changes nothing."""
    from hyops_assets.cli.plan import plan_module
    from hyops_assets.cli.prepare import Asked

    where = named_place(root, env)
    plan_module(
        Asked("plan", where, module, inputs, state_instance, module_root, skip_preflight, bypass_reason, out_dir)
    )


@app.command("deploy", help="The same as apply.")
@app.command()
def apply(
    module: Module,
    inputs: Inputs = None,
    skip_preflight: SkipPreflight = False,
    bypass_reason: BypassReason = "",
    state_instance: Instance = "",
    module_root: ModuleRoot = None,
    out_dir: OutDir = None,
    env: Env = None,
    root: Root = None,
) -> None:
    """Run a module: the same graph, on the same Dagster instance, as in the UI."""
    from hyops_assets.cli.apply import apply_module
    from hyops_assets.cli.prepare import Asked

    where = named_place(root, env)
    apply_module(
        Asked("apply", where, module, inputs, state_instance, module_root, skip_preflight, bypass_reason, out_dir)
    )


@app.command()
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
    from hyops_assets.cli.prepare import Asked

    where = named_place(root, env) if module else _place(root, env)
    asked = Asked("preflight", where, module, inputs, state_instance, module_root) if module else None
    raise typer.Exit(run_preflight(where, asked, target=target, strict=strict, as_json=json_))


@app.command()
def init(
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Write a commented pipeline.yml to start from. Ends with 10: the template was written."""
    from hyops_assets.cli.init import write_template

    raise typer.Exit(write_template(_place(root, env), force=force))


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="module, env, init, or a state reference: <module>[#<instance>].")],
    reference: Annotated[str, typer.Argument(help="State reference, after the word module.")] = "",
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON; a state as it lies there.")] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Show a module's state, or the environment."""
    from hyops_assets.cli.show import show as show_what

    show_what(_place(root, env), what, reference, as_json=json_)


@app.command()
def reproduce(
    evidence: Annotated[str, typer.Argument(help="Path or https URL of a record's evidence (evidence_url).")],
    iso: Annotated[Path | None, typer.Option("--iso", help="The ISO; default: the one in the artifact store.")] = None,
    env: Env = None,
    root: Root = None,
) -> None:
    """Build a published record again from its ISO and package lock, and compare every byte."""
    from hyops_assets.cli.reproduce import reproduce as build_again

    build_again(_place(root, env), evidence, iso)


@app.command()
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
    from hyops_assets.cli.inspect import Asked, run_inspect

    asked = Asked(disk, json_, record, iso, sha256, console, sbom, former, scratch, most_gib << 30)
    raise typer.Exit(run_inspect(asked))


@app.command()
def doctor(env: Env = None, root: Root = None) -> None:
    """Examine this host: programs, versions, an accelerator that really works."""
    from hyops_assets.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(_place(root, env).root))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Disk image: raw, qcow2 or raw.xz.")],
    destination: Annotated[Path, typer.Argument(help="File to write: .raw.xz, .qcow2, .raw or .img.")],
    format_: Annotated[str | None, typer.Option("--format", help="raw.xz, qcow2 or raw, whatever the name.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Encoding threads (default: all cores).")] = None,
    block_size: Annotated[str | None, typer.Option(help="Block of a raw.xz, such as 512K: a power of two.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the destination.")] = False,
) -> None:
    """Write a disk image in another format, on all cores, with its digests."""
    from hyops_assets.cli.convert import convert as convert_disk

    convert_disk(source, destination, format_=format_, threads=threads, block_size=block_size, force=force)


@lab.command("iso")
def lab_iso(release: Version = "2026.03.03-0027-rolling", env: Env = None, root: Root = None) -> None:
    """Make a signed VyOS look-alike ISO from Debian packages, or find the one made before."""
    from hyops_assets.cli.lab import make_iso

    make_iso(_place(root, env), release)


@lab.command("up")
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
    from hyops_assets.cli.lab import up

    up(_place(root, env), release)


@lab.command("down")
def lab_down(env: Env = None, root: Root = None) -> None:
    """Stop the lab. What it holds stays for the next start."""
    from hyops_assets.cli.lab import down

    down(_place(root, env))


@lab.command("release")
def lab_release(release: Version, env: Env = None, root: Root = None) -> None:
    """Put a release into the lab's feed, with a look-alike ISO of that version."""
    from hyops_assets.cli.lab import announce

    announce(_place(root, env), release)


@lab.command("env")
def lab_env(env: Env = None, root: Root = None) -> None:
    """Print the exports that let other programs reach the running lab: eval "$(hyops lab env)"."""
    from hyops_assets.cli.lab import print_environment

    print_environment(_place(root, env))


def _place(root: Path | None, env: str | None) -> Place:
    return place(root, env)


def main() -> None:
    """Run the command; an error a user can act on is printed as such, without a traceback."""
    for message in ANNOUNCED:
        warnings.filterwarnings("ignore", message=message)
    try:
        app()
    except BadUsage as error:
        typer.echo(f"ERR: {error}", err=True)
        sys.exit(2)
    except NotStarted as error:
        typer.echo(f"ERR: {redacted(str(error))}", err=True)
        sys.exit(1)
    except HyopsError as error:
        typer.echo(f"error: {redacted(str(error))}", err=True)
        sys.exit(1)
    except OSError as error:
        # A path that the user named, or that belongs to another user; without a path it is a fault of ours.
        if error.filename is None and error.errno not in FULL:
            raise
        next_step = "free some space" if error.errno in FULL else "see that this user may use it"
        typer.echo(f"error: {error.filename or 'a file'}: {error.strerror}\n  next: {next_step}", err=True)
        sys.exit(1)
    except SystemExit as ended:
        # Typer turns Ctrl-C into this status and says nothing.
        if ended.code == _CANCELLED:
            typer.echo("cancelled", err=True)
        raise


if __name__ == "__main__":
    main()
