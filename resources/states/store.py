"""State files below `<runtime root>/state/modules`: atomic, private, and never half written.

Rules of HybridOps: mode 0600, JSON with two spaces and sorted keys, only status `ok` is consumed, `error` keeps the
former outputs.
"""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState, Outputs, require_lab_slot
from resources.settings import make_private, write_private

MAX_BYTES = 4 << 20
_MEND = "restore {path}, or move it away and apply {ref.module} again"


class BadState(HyopsError):
    """A state file that cannot be read as one."""


class StateBusy(TransientError):
    """Another process holds a state for longer than writing one takes."""


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
            BadState: the file is too large, truncated, not a regular file or not a state.
        """
        path = self.path(ref)
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                # A link would be replaced by the next write, and what it leads to would silently stay behind.
                raise BadState(f"{path} is no regular file", hint=f"move it away and apply {ref.module} again")
            if found.st_size > MAX_BYTES:
                raise BadState(f"{path} is larger than {MAX_BYTES} bytes", hint=_MEND.format(path=path, ref=ref))
            return ModuleState.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadState(f"{path} cannot be read: {error.strerror}", hint="give this user the file") from error
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or 'the file'}: {problem['msg']}"
                for problem in error.errors(include_input=False)
            )
            raise BadState(f"{path} is no module state: {wrong}", hint=_MEND.format(path=path, ref=ref)) from error

    def commit(self, ref: StateRef, *, run_id: str, outputs: Outputs) -> bool:
        """Make a state `ok` with these outputs; tell whether anything but the run changed.

        A repeated run with equal outputs leaves the file as it is: whoever watches it sees no change.

        Raises:
            Refused: a lab would overwrite a state that no lab wrote.
            BadState: what stands there cannot be read, so nobody can tell whether it may be overwritten.
            StateBusy: another process writes it, and does not end.
        """
        with self._locked(ref):
            former = self.find(ref)
            require_lab_slot(former, lab=bool(outputs.get("lab")), where=str(ref))
            if former is not None and former.status == "ok" and _lasting(former.outputs) == _lasting(outputs):
                return False
            self._write(
                ref,
                ModuleState(
                    module_ref=ref.module,
                    state_instance=ref.instance,
                    run_id=run_id,
                    status="ok",
                    updated_at=datetime.now(UTC),
                    outputs=outputs,
                    output_count=len(outputs),
                    evidence_dir=str(self._root.run_records / ref.module_id / run_id),
                ),
            )
            return True

    def _write(self, ref: StateRef, state: ModuleState) -> None:
        payload = state.model_dump(mode="json", exclude_none=True)
        # Nulls inside outputs are answers ("no ISO: registered elsewhere") and stay.
        payload["outputs"] = state.outputs
        write_private(self.path(ref), (json.dumps(payload, indent=2, sort_keys=True) + "\n").encode())

    @contextmanager
    def _locked(self, ref: StateRef) -> Iterator[None]:
        path = self.path(ref)
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


def _lasting(outputs: Outputs) -> Outputs:
    """Return the outputs that say what stands there; whether this very run seeded it is not one of them."""
    return {key: value for key, value in outputs.items() if not key.endswith("_seeded")}
