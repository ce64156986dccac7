"""`hyops preflight`: whether this host and the systems around it are ready. Reads only."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

from hyops_assets.cli.as_typed import as_typed
from hyops_assets.cli.check import Check
from hyops_assets.cli.checking import module_checks, runtime_checks
from hyops_assets.cli.console import console
from hyops_assets.cli.environment import Place, others, require_there
from hyops_assets.cli.faults import tell_fault
from hyops_assets.cli.host_checks import accelerator_check, only_for, program_check
from hyops_assets.cli.modules.seed_outlook import reached, tried
from hyops_assets.cli.prepare import ModuleCommand, prepare, reach, reach_environment, redactor_of
from hyops_assets.cli.progress import busy
from hyops_assets.cli.run_record import RunRecord, new_run_id, now
from hyops_assets.cli.usage import BadUsage
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.redaction import Redactor
from hyops_assets.image.programs import PACKAGES
from hyops_assets.settings.pipeline import Settings
from resources.settings import load_settings
from resources.sites.registry import CLOUDS

OK = 0
CONFIGURATION_INVALID = 11
DEPENDENCY_MISSING = 12
INTERNAL = 30

TARGETS = tuple(cloud.name for cloud in CLOUDS)
"""What `--target` may name: one kind of site."""


@dataclass(frozen=True)
class Looked:
    """What a preflight found: of the host and its sites, and of a module, if one was named."""

    results: list[Check]
    module: str
    module_results: list[Check]

    @property
    def all(self) -> list[Check]:
        """Every check, in order."""
        return [*self.results, *self.module_results]


def run_preflight(place: Place, asked: ModuleCommand | None, *, target: str, strict: bool, as_json: bool) -> int:
    """Look, print what was found, and return the exit status.

    Args:
        place: the environment.
        asked: the module whose run is meant; None for host and sites.
        target: `proxmox` or `hetzner`, for the sites of that kind only; empty for all.
        strict: whether a missing program counts. What a module misses always does.
        as_json: print one JSON object instead of lines.

    Returns:
        0; 11 where something is wrong; 12 where, under `strict`, something is missing; 30 for a fault of ours.

    Raises:
        BadUsage: no such target.
    """
    if target and target not in TARGETS:
        raise BadUsage(f"--target {target!r} is none", hint=f"use one of: {', '.join(TARGETS)}")
    run_id = new_run_id("preflight")
    # What goes on is no part of the report, which may be JSON.
    with _own_faults(), busy(console(stderr=True), "preflight", ends=False):
        looked, redactor = _look(place, asked, target)
        code = exit_status(looked, strict=strict)
        lines = [
            redactor.text(as_typed(f"{check.status} {check.name} {check.detail}".rstrip())) for check in looked.all
        ]
        report = redactor.document(_report(place, looked, target, code))
        _record(place, run_id, [*lines, f"exit_code={code}"], report, redactor)
    typer.echo(json.dumps(report, indent=2, sort_keys=True) if as_json else "\n".join([*lines, f"exit_code={code}"]))
    return code


def _look(place: Place, asked: ModuleCommand | None, target: str) -> tuple[Looked, Redactor]:
    runtime = runtime_checks(place.root)
    try:
        # On a new host there is none yet, and that is fine; beside others, a name that is not there is a mistyped one.
        settings = load_settings((require_there(place) if others(place) else place).root)
        reach_environment(place, settings)
        configured = Check("config:pipeline.yml", "ok", str(place.root.settings_file))
    except HyopsError as error:
        broken = Check.of("config:pipeline.yml", error)
        return Looked([*runtime, broken], "", []), Redactor(os.environ)
    if asked is not None:
        return _module(asked, [*runtime, configured], redactor_of(settings, None, os.environ))
    # A site alone needs nothing of this host, and finding the accelerator runs a guest.
    host = [] if target else _host(settings)
    looked = Looked([*host, *runtime, configured, *_sites(settings, target)], "", [])
    return looked, redactor_of(settings, None, os.environ)


def _host(settings: Settings) -> list[Check]:
    """Return the programs that these settings need, and the accelerator; a module's preflight adds its method's."""
    needed = [name for name in PACKAGES if not only_for(name, lab=settings.lab)]
    return [*(program_check(name) for name in needed), accelerator_check()]


def _module(asked: ModuleCommand, results: list[Check], redactor: Redactor) -> tuple[Looked, Redactor]:
    try:
        prepared = reach(prepare(asked))
        found = module_checks(prepared)
    except BadUsage:
        raise
    except HyopsError as error:
        failed = Check.of(f"module:{asked.module}", error)
        return Looked([*results, failed], asked.module, []), redactor
    checks = [check for check in found if not check.name.startswith("runtime:")]
    wrong = [check for check in checks if not check.ok]
    summary = Check(
        f"module:{prepared.module.ref}",
        "fail" if wrong else "ok",
        f"writes {prepared.work.ref}" if not wrong else f"not ready: {', '.join(check.name for check in wrong)}",
    )
    return Looked([*results, summary], prepared.module.ref, checks), prepared.redactor


def _sites(settings: Settings, target: str) -> list[Check]:
    kinds = (target,) if target else TARGETS
    checks: list[Check] = []
    for kind in kinds:
        named = settings.sites.of(kind)
        if not named and target:
            checks.append(
                Check(f"readiness:{kind}", "fail", f"no {kind} site is configured; add one under sites.{kind}.<name>")
            )
        for name in sorted(named):
            checks.append(
                tried(f"readiness:{kind}/{name}", lambda kind=kind, name=name: reached(settings, kind, name))
            )
    return checks


def exit_status(looked: Looked, *, strict: bool) -> int:
    """Return HyOps' status for what was found: 0, 11, or, under `strict`, 12 where something is missing."""
    statuses = {check.status for check in looked.all}
    if "fail" in statuses:
        return CONFIGURATION_INVALID
    return DEPENDENCY_MISSING if strict and "missing" in statuses else OK


def _report(place: Place, looked: Looked, target: str, code: int) -> dict[str, Any]:
    module: dict[str, Any] = {}
    if looked.module:
        failing = any(not check.ok for check in looked.module_results)
        module = {"module_ref": looked.module, "ok": not failing, "results": _rows(looked.module_results)}
    return {
        "ok": code == OK,
        "code": code,
        "target": target,
        "runtime_root": str(place.root.path),
        "results": _rows(looked.results),
        "module_preflight": module,
    }


def _rows(checks: list[Check]) -> list[dict[str, Any]]:
    return [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks]


def _record(place: Place, run_id: str, lines: list[str], report: dict[str, Any], redactor: Redactor) -> None:
    """Keep what was found, where there is a runtime root to keep it in: looking makes none."""
    root = place.root.path
    if not os.access(root, os.W_OK | os.X_OK):
        return
    record = RunRecord(root / "logs" / "preflight" / run_id, below=root, redactor=redactor)
    record.write_text("output.log", "\n".join(lines) + "\n")
    record.write("result.json", report | {"run_id": run_id, "recorded_at": now()})


@contextmanager
def _own_faults() -> Iterator[None]:
    """Report a fault of this program as every command does, and end with the exit status that HyOps has for one."""
    try:
        yield
    except HyopsError:
        raise
    except Exception as fault:
        tell_fault(fault)
        raise typer.Exit(INTERNAL) from fault
