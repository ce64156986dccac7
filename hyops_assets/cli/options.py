"""Options that more than one command takes, with one help text each."""

from pathlib import Path
from typing import Annotated

import typer

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
