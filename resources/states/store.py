"""State files below `<runtime root>/state/modules`: atomic, private, and never half written.

Rules of HybridOps: mode 0600, JSON with two spaces and sorted keys, only status `ok` is consumed, `running` is written
before anything is changed, `error` keeps the former outputs.

    begin ──▶ running ── commit ──▶ ok
                 ├────── fail ────▶ error, former outputs
                 └────── withdraw ▶ as it was before: the run did not move this slot

A run that was killed leaves `running`; the next one begins again. A run that ends a state that another run has begun
meanwhile changes nothing: the later run decides.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import ValidationError

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState, Outputs, Status, require_lab_slot
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.space import space_needed
from resources.environment_id import ensure_environment_id
from resources.settings import make_private, write_private

MAX_BYTES = 4 << 20
_MEND = "restore {path}, or move it away and apply {ref.module} again"


class BadState(HyopsError):
    """A state file that cannot be read as one."""


class StateBusy(TransientError):
    """Another process holds a state for longer than writing one takes."""


@dataclass(frozen=True)
class Begun:
    """What a run notes in its state before it changes anything.

    Attributes:
        run_id: names the run record.
        command: `apply`.
        evidence_dir: the run record's directory.
        credentials: the providers whose credentials the module needs.
        rerun_inputs_file: where the inputs for a repetition lie.
        resolved_inputs_file: where the inputs lie as this run took them.
    """

    run_id: str
    command: str
    evidence_dir: str
    credentials: tuple[str, ...] = ()
    rerun_inputs_file: str = ""
    resolved_inputs_file: str = ""


class StateStore:
    """The states of one environment.

    Args:
        root: the environment's runtime root.
        patience_seconds: how long to wait for another process that writes the same state.
    """

    def __init__(self, root: RuntimeRoot, *, patience_seconds: float = 30.0) -> None:
        self._root = root
        self._patience = patience_seconds

    def path(self, ref: StateRef) -> Path:
        """Return where a state lies or would lie."""
        return self._root.states / ref.path

    def find(self, ref: StateRef) -> ModuleState | None:
        """Return a state, or None where there is none.

        Raises:
            BadState: the file is too large, truncated, no regular file, no state, of another environment (a link on
                its way leads out of this one), or anyone may write it.
        """
        path = self.path(ref)
        self._require_inside(path)
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                # A link would be replaced by the next write, and what it leads to would silently stay behind.
                raise BadState(f"{path} is no regular file", hint=f"move it away and apply {ref.module} again")
            if found.st_mode & stat.S_IWOTH:
                raise BadState(f"{path} can be written by anyone", hint=f"look at what it says, then chmod 600 {path}")
            if found.st_size > MAX_BYTES:
                raise BadState(f"{path} is larger than {MAX_BYTES} bytes", hint=_MEND.format(path=path, ref=ref))
            return ModuleState.model_validate_json(_read_bounded(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadState(f"{path} cannot be read: {error.strerror}", hint="give this user the file") from error
        except ValidationError as error:
            wrong = wrong_values(error, "the file")
            raise BadState(f"{path} is no module state: {wrong}", hint=_MEND.format(path=path, ref=ref)) from error

    def list(self) -> list[tuple[StateRef, ModuleState]]:
        """Return every state of the environment, by reference.

        Raises:
            BadState: one of them cannot be read.
        """
        found: list[tuple[StateRef, ModuleState]] = []
        for path in sorted(self._root.states.glob("*/latest.json")) + sorted(
            self._root.states.glob("*/instances/*.json")
        ):
            directory, *instance = path.relative_to(self._root.states).with_suffix("").parts
            ref = StateRef(directory.replace("__", "/"), instance[-1] if len(instance) > 1 else None)
            if (state := self.find(ref)) is not None:
                found.append((ref, state))
        return found

    def begin(self, ref: StateRef, begun: Begun, *, lab: bool) -> None:
        """Make a state `running`, with the outputs it had, and a note of what it was.

        Raises:
            Refused: a lab would touch a state that no lab wrote.
            BadState: what stands there cannot be read.
            NoSpace: the state cannot be written; it is what it was.
            StateBusy: another process writes it, and does not end.
        """
        with self._locked(ref):
            former = self.find(ref)
            require_lab_slot(former, lab=lab, where=str(ref))
            running = _fresh(ref, begun.run_id, former.outputs if former else {}, begun.evidence_dir)
            notes = {
                "status": "running",
                "requirements": {"credentials": list(begun.credentials)},
                "active_command": begun.command,
                "rerun_inputs_file": begun.rerun_inputs_file,
                "resolved_inputs_file": begun.resolved_inputs_file,
                "before": _settled(former),
            }
            self._write(ref, running.model_copy(update=notes))

    def commit(self, ref: StateRef, *, run_id: str, outputs: Outputs) -> bool:
        """Make a state `ok` with these outputs; tell whether the outputs changed, or the status but for this run.

        A run that did not begin the state and finds it with equal outputs leaves the file as it is: what watches
        it sees no change.

        Raises:
            Refused: a lab would overwrite a state that no lab wrote.
            BadState: what stands there cannot be read, so it is unknown whether it may be overwritten; or the
                outputs are too many to be read again.
            NoSpace: the state cannot be written; it is what it was.
            StateBusy: another process writes it, and does not end.
        """
        with self._locked(ref):
            former = self.find(ref)
            require_lab_slot(former, lab=bool(outputs.get("lab")), where=str(ref))
            equal = former is not None and _lasting(former.outputs) == _lasting(outputs)
            if former is not None and former.status == "ok" and equal:
                return False
            if former is not None and _begun_by(former, run_id):
                done = former.model_copy(update=_ended("ok") | {"outputs": outputs, "output_count": len(outputs)})
            else:
                done = _fresh(ref, run_id, outputs, str(self._root.run_records / ref.module_id / run_id))
            self._write(ref, done)
            return not (equal and former is not None and _begun_by(former, run_id))

    def fail(self, ref: StateRef, *, run_id: str, error: str) -> bool:
        """Make the state that a run began `error`, with the outputs it had; tell whether it was still that run's.

        Args:
            ref: the state.
            run_id: of the run that began it.
            error: what went wrong; no secret.
        """
        with self._locked(ref):
            state = self.find(ref)
            if state is None or not _begun_by(state, run_id):
                return False
            command = (state.model_extra or {}).get("active_command")
            self._write(
                ref, state.model_copy(update=_ended("error") | {"last_error": error, "failed_command": command})
            )
            return True

    def withdraw(self, ref: StateRef, *, run_id: str) -> bool:
        """Put back what a state was before any run began it; tell whether it was still that run's."""
        with self._locked(ref):
            state = self.find(ref)
            if state is None or not _begun_by(state, run_id):
                return False
            if isinstance(state.before, ModuleState):
                self._write(ref, state.before.model_copy(update={"outputs": state.outputs}))
            else:
                self.path(ref).unlink()
            return True

    def destroy(self, ref: StateRef, *, run_id: str) -> bool:
        """Make the state of a run `destroyed`: what it named is gone, so it names nothing. Tell whether it was its."""
        with self._locked(ref):
            state = self.find(ref)
            if state is None or state.run_id != run_id:
                return False
            self._write(ref, state.model_copy(update=_ended("destroyed") | {"outputs": {}, "output_count": 0}))
            return True

    def _write(self, ref: StateRef, state: ModuleState) -> None:
        payload = state.model_dump(mode="json", exclude_none=True)
        payload["environment_id"] = ensure_environment_id(self._root)
        # Nulls inside outputs are answers ("no ISO: registered elsewhere") and stay.
        payload["outputs"] = state.outputs
        content = (json.dumps(payload, indent=2, sort_keys=True) + "\n").encode()
        path = self.path(ref)
        if len(content) > MAX_BYTES:
            raise BadState(f"{path} would be larger than {MAX_BYTES} bytes", hint="shorten what the module puts out")
        with space_needed(path.parent, len(content)):
            write_private(path, content)

    def _require_inside(self, path: Path) -> None:
        """Refuse a state whose directory is a link out of this environment: it would be another one's, or anyone's."""
        states = self._root.states
        if not path.parent.resolve().is_relative_to(states.resolve()):
            raise BadState(
                f"{path} leads out of {states}: a directory on its way is a link to {path.parent.resolve()}",
                hint="put a directory in the link's place",
            )

    @contextmanager
    def _locked(self, ref: StateRef) -> Iterator[None]:
        path = self.path(ref)
        self._require_inside(path)
        make_private(path.parent, below=self._root.path)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=self._patience)
        except Timeout as error:
            raise StateBusy(f"another process writes {path}", hint="wait for it to end, then repeat") from error
        try:
            yield
        finally:
            lock.release()


def _read_bounded(path: Path) -> bytes:
    # Whatever took the file's place since it was looked at is not followed, not waited for, and not read whole.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _fresh(ref: StateRef, run_id: str, outputs: Outputs, evidence_dir: str) -> ModuleState:
    return ModuleState(
        module_ref=ref.module,
        state_instance=ref.instance,
        run_id=run_id,
        status="ok",
        updated_at=datetime.now(UTC),
        outputs=outputs,
        output_count=len(outputs),
        evidence_dir=evidence_dir,
    )


def _settled(former: ModuleState | None) -> ModuleState | Literal["nothing"]:
    """Return what a run that moves nothing will put back: never what another run began, which may have died."""
    if former is None:
        return "nothing"
    if former.status == "running" and former.before is not None:
        return former.before
    return former.model_copy(update={"outputs": {}})


def _ended(status: Status) -> dict[str, object]:
    return {"status": status, "updated_at": datetime.now(UTC), "active_command": None, "before": None}


def _begun_by(state: ModuleState, run_id: str) -> bool:
    return state.status == "running" and state.run_id == run_id


def _lasting(outputs: Outputs) -> Outputs:
    """Return the outputs that say what stands there; whether this very run seeded it is not one of them."""
    return {key: value for key, value in outputs.items() if not key.endswith("_seeded")}
