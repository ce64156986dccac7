"""A module's run while it lasts: its lines on standard output, in HyOps' order, and its run record.

run record: <dir>
module=<ref> status=running run_id=<id>
progress: phase=preflight
progress: phase=apply
module=<ref> status=ok|error|cancelled run_id=<id>
run record: <dir>
rerun_inputs: <path>
"""

import getpass
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import typer

from hyops_assets.cli.as_typed import as_typed
from hyops_assets.cli.check import Check
from hyops_assets.cli.prepare import MUTATING, Prepared, inputs_by_both_names, inputs_document
from hyops_assets.cli.run_record import module_record, now, stamp
from hyops_assets.cli.usage import NotStarted
from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.atomic_write import BeingWritten


class PreflightFailed(HyopsError):
    """Something that the run needs is missing or wrong; no state was touched."""


class Recorded:
    """A module's run from its first line to its last, whatever ends it.

    Args:
        prepared: the run.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.rerun_inputs: Path | None = None
        work = prepared.work
        self._decision: dict[str, Any] = {}
        # `validate` needs no environment, and makes none: there is nothing then that a record could lie in.
        kept = prepared.asked.out_dir is not None or work.place.root.path.is_dir()
        self._record = (
            module_record(
                work.place.root,
                work.ref.module_id,
                work.run_id,
                out_dir=prepared.asked.out_dir,
                redactor=prepared.redactor,
            )
            if kept
            else None
        )

    @property
    def directory(self) -> Path:
        """The run record's directory.

        Raises:
            NotStarted: there is no environment that it could lie in.
        """
        if self._record is None:
            root = self.prepared.work.place.root.path
            raise NotStarted(f"there is no environment in {root}", hint="make it: hyops init")
        return self._record.directory

    @property
    def resolved_inputs(self) -> Path:
        """Where the inputs lie as this run takes them."""
        return self.directory / "resolved.inputs.yml"

    def __enter__(self) -> Self:
        asked, work = self.prepared.asked, self.prepared.work
        self._started_at = now()
        self.write("meta.json", self._meta())
        self.write("inputs_resolved.json", inputs_document(self.prepared))
        if self._record is not None:
            self._record.write_yaml(self.resolved_inputs.name, inputs_by_both_names(self.prepared))
        self._decide(
            decision="bypass" if asked.skip_preflight else "enforce",
            status="bypassed" if asked.skip_preflight else "pending",
            guarantee="not-established" if asked.skip_preflight else "pending",
        )
        self._say_where()
        self.say(f"module={work.ref.module} status=running run_id={work.run_id}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        work = self.prepared.work
        status = status_of(error)
        result = {"status": status, "run_id": work.run_id, "module_ref": work.ref.module, "ended_at": now()}
        if error is not None:
            result["error"] = describe(error)
        self.write("result.json", result)
        if status == "cancelled":
            self.write("cancelled.json", {"run_id": work.run_id, "cancelled_at": now()})
        # Where another run ends at this very moment, its stamp is as good.
        if work.place.root.path.is_dir():
            with suppress(BeingWritten):
                stamp(work.place.root, self._meta() | result, self.prepared.redactor)
        self.say(f"module={work.ref.module} status={status} run_id={work.run_id}")
        self._say_where()
        if self.rerun_inputs is not None:
            self.say(f"rerun_inputs: {self.rerun_inputs}")

    def say(self, line: str) -> None:
        """Print a line, without secrets."""
        typer.echo(self.prepared.redactor.text(as_typed(line)))

    def _say_where(self) -> None:
        if self._record is not None:
            self.say(f"run record: {self.directory}")

    def phase(self, name: str) -> None:
        """Say what happens next."""
        self.say(f"progress: phase={name}")

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Add a document to the run record."""
        if self._record is not None:
            self._record.write(name, document)

    def passed(self, checks: list[Check]) -> None:
        """Record what preflight found.

        Raises:
            PreflightFailed: a check did not pass; all of those are named.
        """
        asked, wrong = self.prepared.asked, [check for check in checks if not check.ok]
        self.write(
            "preflight_result.json",
            {
                "ok": not wrong,
                "results": [{"name": one.name, "ok": one.ok, "detail": one.detail} for one in checks],
            },
        )
        if not wrong:
            self._decide(decision="enforce", status="passed", guarantee="established", completed_at=now())
            return
        found = "; ".join(f"{check.name}: {check.detail}" for check in wrong)
        self._decide(
            decision="enforce", status="failed", guarantee="not-established", completed_at=now(), detail=found
        )
        self.write("guard_failure.json", {"guard": "preflight", "found": found, "recorded_at": now()})
        raise PreflightFailed(
            f"preflight failed: {found}",
            hint=f"mend it; the same is looked at without a run by: hyops preflight --module {asked.module}",
        )

    def _decide(self, **what: str) -> None:
        asked = self.prepared.asked
        self._decision |= {
            "schema_version": 1,
            "scope": "module",
            "mutating": asked.command in MUTATING,
            "reason": asked.bypass_reason,
            "recorded_at": self._started_at,
            **what,
        }
        self.write("preflight_decision.json", self._decision)

    def _meta(self) -> dict[str, Any]:
        asked, work = self.prepared.asked, self.prepared.work
        return {
            "run_id": work.run_id,
            "command": asked.command,
            "module_ref": work.ref.module,
            "module_id": work.ref.module_id,
            "state_instance": work.ref.instance,
            "runtime_root": str(work.place.root.path),
            "inputs_file": str(asked.inputs) if asked.inputs else None,
            "started_at": self._started_at,
            "host": socket.gethostname(),
            "user": _user(),
            "version": metadata.version("hyops-assets"),
        }


def status_of(error: BaseException | None) -> str:
    """Return the word for how a run ended."""
    if error is None:
        return "ok"
    return "cancelled" if isinstance(error, KeyboardInterrupt) else "error"


def describe(error: BaseException) -> str:
    """Return an error as a record or a state keeps it."""
    if isinstance(error, KeyboardInterrupt):
        return "cancelled"
    return str(error) if isinstance(error, HyopsError) else f"{type(error).__name__}: {error}"


def driver_of(error: BaseException) -> Mapping[str, Any]:
    """Return what a failed or cancelled run of the graph had done until then; nothing where no run had begun."""
    ran = getattr(error, "ran", None)
    if ran is None:
        return {}
    from hyops_assets.cli.modules.in_graph import driver_result

    return driver_result(ran)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return str(os.getuid())
