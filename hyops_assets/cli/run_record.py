"""Run records: what a module's run was asked, decided and came to, as files below `<root>/logs/module`.

Private files in private directories, written whole, without secrets: every document passes the redactor.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.redaction import Redactor
from resources.settings import make_private, write_private

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def new_run_id(command: str) -> str:
    """Return a name for a run that no other has: `<command>-<YYYYMMDDTHHMMSSZ>-<8 hex>`."""
    return f"{command}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def now() -> str:
    """Return the time as run records and states write it: UTC, to the second."""
    return datetime.now(UTC).strftime(TIME_FORMAT)


class RunRecord:
    """One run's directory.

    Args:
        directory: of this run; made when the record is opened.
        below: the directory down from which missing parents are made private.
        redactor: what every document passes.
    """

    def __init__(self, directory: Path, *, below: Path, redactor: Redactor) -> None:
        self.directory = directory
        self._redactor = redactor
        make_private(directory, below=below)

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document as JSON, replacing one of that name."""
        text = json.dumps(self._redactor.document(document), indent=2, sort_keys=True)
        write_private(self.directory / name, f"{text}\n".encode())

    def write_text(self, name: str, text: str) -> None:
        """Write lines."""
        write_private(self.directory / name, self._redactor.text(text).encode())

    def write_yaml(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document as YAML, keys in their order."""
        text = yaml.safe_dump(self._redactor.document(document), sort_keys=False, allow_unicode=True)
        write_private(self.directory / name, text.encode())


def module_record(
    root: RuntimeRoot, module_id: str, run_id: str, *, out_dir: Path | None, redactor: Redactor
) -> RunRecord:
    """Open the record of a module's run: `<root>/logs/module/<id>/<run>`, or `<out_dir>/module/<id>/<run>`."""
    if out_dir is None:
        return RunRecord(root.run_records / module_id / run_id, below=root.path, redactor=redactor)
    base = out_dir.expanduser().absolute()
    return RunRecord(base / "module" / module_id / run_id, below=base, redactor=redactor)


def stamp(root: RuntimeRoot, document: Mapping[str, Any], redactor: Redactor) -> None:
    """Note the last run in `<root>/meta/runtime.json`."""
    directory = root.path / "meta"
    make_private(directory, below=root.path)
    text = json.dumps(redactor.document(document), indent=2, sort_keys=True)
    write_private(directory / "runtime.json", f"{text}\n".encode())
