"""Inputs for a repetition: what the operator gave, per state slot, without secrets and without what is derived."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from hyops_assets.contract.errors import TransientError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.redaction import Redactor, is_secret_name
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.resolution import decided_by
from resources.settings import make_private, write_private

_PATIENCE_SECONDS = 30.0


def rerun_path(root: RuntimeRoot, ref: StateRef) -> Path:
    """Return where a slot's inputs for a repetition lie."""
    return (root.path / "config" / "modules" / ref.path).with_suffix(".inputs.yml")


def lasting_inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a repetition should be given again.

    Dropped are keys that hold secrets, and whatever a state reference among the inputs decides: a stale value of it
    would look as if it counted.
    """
    derived = {key for name, value in given.items() if value for key in decided_by(name)}
    return {key: _lasting(value) for key, value in given.items() if key not in derived and not is_secret_name(key)}


def write_rerun_inputs(root: RuntimeRoot, ref: StateRef, given: Mapping[str, Any], redactor: Redactor) -> Path:
    """Write a slot's inputs for a repetition; return where.

    Raises:
        TransientError: another run of the same slot holds the file for longer than writing takes.
    """
    path = rerun_path(root, ref)
    make_private(path.parent, below=root.path)
    text = f"# What {ref} was last applied with.\n" + yaml.safe_dump(
        redactor.document(lasting_inputs(given)), sort_keys=False, allow_unicode=True
    )
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_PATIENCE_SECONDS):
            write_private(path, text.encode())
    except Timeout as error:
        raise TransientError(f"another process writes {path}", hint="wait for it to end, then run again") from error
    return path


def _lasting(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lasting(item) for key, item in value.items() if not is_secret_name(str(key))}
    if isinstance(value, list | tuple):
        return [_lasting(item) for item in value]
    return value
