"""`hyops inspect`: a disk, wherever it comes from, asked every question of the gates, for people or as JSON.

Ends with 0 where nothing is wrong, 1 where an answer is, and 2 where the questions could not be asked at all.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from hyops_assets.cli.as_typed import as_typed
from hyops_assets.cli.console import console
from hyops_assets.cli.progress import busy
from hyops_assets.contract.canonical import Frozen, Sha256
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.printable import printable
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import Url
from hyops_assets.contract.version import iso_file_name
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.dpkg import PackageDiff, installed, package_diff
from hyops_assets.image.inspection.arrival import Arrived, opened_disk, release_on
from hyops_assets.image.inspection.expectations import Promise, expected_of, read_promise
from hyops_assets.image.inspection.questions import QUESTIONS, DiskFinding, Expected, Outcome, answers, viewed
from hyops_assets.image.inspection.view import View
from hyops_assets.image.intake.iso import OpenedIso, squashfs_epoch
from hyops_assets.image.overlay.dpkg_status import STATUS
from hyops_assets.image.sbom import Subject, sbom
from resources.public_files import fetch_file, is_url, read_document, require_file

FAULTY, NOT_ASKED = 1, 2
_STYLES: dict[Outcome, str] = {"passed": "green", "failed": "red", "not compared": "yellow"}


class WrongFile(Refused):
    """A file is not the one whose SHA-256 was given."""


class NothingToName(Refused):
    """A bill of materials was asked for without saying of what."""


class Answer(Frozen):
    """One question and its answer, as the JSON report has it."""

    name: str
    question: str
    outcome: Outcome
    detail: str


class Report(Frozen):
    """The JSON report. `passed` says that no answer is wrong; what was not compared is seen by its outcome."""

    schema_version: Literal["hyops.inspection/v1"] = "hyops.inspection/v1"
    source: str
    format: str
    size_bytes: int
    release: str
    record_digest: Sha256 | None
    passed: bool
    answers: list[Answer]
    packages: dict[str, dict[str, str | tuple[str, str]]] | None = None


@dataclass(frozen=True)
class InspectOptions:
    """What a person asked for; see the command's own help."""

    source: str
    as_json: bool = False
    record: str | None = None
    iso: Path | None = None
    sha256: str | None = None
    console: str | None = None
    sbom: Path | None = None
    former: str | None = None
    scratch: Path | None = None
    most_bytes: int = 8 << 30


def run_inspect(asked: InspectOptions) -> int:
    """Inspect a disk and print the report; return the exit status."""
    try:
        return _inspect(asked)
    except HyopsError as error:
        typer.echo(as_typed(f"error: {error}"), err=True)
    except OSError as error:
        # One without a name comes from a read or a write in the middle: of a disk that fails, or of no real file.
        where = error.filename or "a file could not be read or written"
        typer.echo(
            f"error: {printable(str(where))}: {error.strerror or error}\n  next: name a file that you may read",
            err=True,
        )
    return NOT_ASKED


def _inspect(asked: InspectOptions) -> int:
    with (
        _shown(asked) as progress,
        tempfile.TemporaryDirectory(prefix="hyops-inspect.", dir=asked.scratch) as own,
        _arrived(asked.source, Path(own) / "new", asked, progress, asked.sha256) as arrived,
    ):
        scratch = Path(own)
        promise = read_promise(read_document(asked.record), asked.record) if asked.record else None
        expected, iso = expected_of(
            arrived, scratch, promise=promise, iso=asked.iso, console=asked.console, progress=progress
        )
        with viewed(arrived.disk, expected, scratch, container=arrived.container) as view:
            findings = answers(view, progress=progress)
            diff = _difference(view, asked, scratch, progress) if asked.former else None
            if asked.sbom:
                _write_bill(asked.sbom, view, promise, iso)
        report = _report(asked, arrived, expected, promise, findings, diff)
    _print(report, diff, as_json=asked.as_json)
    return 0 if report.passed else FAULTY


@contextmanager
def _arrived(
    source: str, room: Path, asked: InspectOptions, progress: Progress, sha256: str | None = None
) -> Iterator[Arrived]:
    """Give the disk at a path or URL; what was fetched and decoded for it is gone with the block."""
    room.mkdir()
    if is_url(source):
        url = Url.parse(source)
        file = room / (url.file_name or "disk")
        fetch_file(url, file, most_bytes=asked.most_bytes, progress=progress)
    else:
        file = require_file(Path(source))
    if sha256 is not None:
        found = sha256_of_file(file, progress=progress)
        if found != sha256.lower():
            raise WrongFile(f"{file.name} has sha256 {found}, expected {sha256}", hint="get the file again")
    with opened_disk(file, room, progress=progress) as arrived:
        yield arrived


def _difference(view: View, asked: InspectOptions, scratch: Path, progress: Progress) -> PackageDiff:
    """Compare the packages with those of a former disk: that file, or the qcow2 beside that record."""
    former, sha256 = asked.former or "", None
    if former.endswith(".json"):
        variant = read_promise(read_document(former), former).record.variants.get("qcow2")
        if variant is None:
            raise WrongFile(f"the record in {former} has no qcow2", hint="give the former disk itself")
        name = variant.file_name
        beside = Url.parse(former).beside(name) if is_url(former) else Path(former).parent / name
        former, sha256 = str(beside), variant.sha256
    with _arrived(former, scratch / "former", asked, progress, sha256) as arrived:
        release = release_on(arrived.disk, scratch)
        with viewed(arrived.disk, Expected(release), scratch) as other:
            return package_diff(installed(other.guest.read(STATUS)), installed(view.guest.read(STATUS)))


def _write_bill(destination: Path, view: View, promise: Promise | None, iso: OpenedIso | None) -> None:
    record = promise.record if promise else None
    if record is None or record.iso_sha256 is None:
        raise NothingToName(
            "a bill of materials names the record that it is of, and the ISO of that record",
            hint="give a record that was built from an ISO with --record",
        )
    release = record.record_version.release
    subject = Subject(
        record_key=record.key,
        record_version=record.version,
        release=release,
        disk_sha256=record.disk.sha256,
        iso_sha256=record.iso_sha256,
        iso_name=iso_file_name(release),
        epoch=iso.epoch if iso else squashfs_epoch(view.squashfs.path),
    )
    content = sbom(view.guest.read(STATUS), subject)
    with replacing(destination) as partial:
        partial.write_bytes(content)


def _report(
    asked: InspectOptions,
    arrived: Arrived,
    expected: Expected,
    promise: Promise | None,
    findings: list[DiskFinding],
    diff: PackageDiff | None,
) -> Report:
    return Report(
        source=printable(asked.source),
        format=arrived.format,
        size_bytes=arrived.disk.stat().st_size,
        release=expected.release,
        record_digest=promise.record.digest if promise else None,
        passed=all(finding.outcome != "failed" for finding in findings),
        answers=[
            Answer(name=found.name, question=QUESTIONS[found.name], outcome=found.outcome, detail=found.detail)
            for found in findings
        ],
        packages=diff and {"added": {**diff.added}, "removed": {**diff.removed}, "changed": {**diff.changed}},
    )


def _print(report: Report, diff: PackageDiff | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    out = console()
    table = Table(title=f"{report.source}: {report.format}, {decimal(report.size_bytes)}, {report.release}")
    table.add_column("question", no_wrap=True)
    table.add_column("answer", overflow="fold")
    table.add_column("", no_wrap=True)
    for answer in report.answers:
        table.add_row(answer.name, answer.detail, Text(answer.outcome, _STYLES[answer.outcome]))
    out.print(table)
    if diff is not None:
        out.print(f"packages, compared with the former disk:\n{diff.text()}", end="", markup=False)
    counts = {outcome: sum(answer.outcome == outcome for answer in report.answers) for outcome in _STYLES}
    out.print(", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count))


@contextmanager
def _shown(asked: InspectOptions) -> Iterator[Progress]:
    """Tell on a terminal what is going on; elsewhere a line each half minute, and beside JSON nothing."""
    errors = console(stderr=True)
    if asked.as_json:
        yield silent
        return
    if not errors.is_terminal:
        with busy(errors, "inspect", ends=False) as step:
            yield step
        return
    with errors.status("inspect") as status:

        def tell(stage: str, done: int, total: int | None) -> None:
            count = f"{done} of {total} questions" if stage == "inspect" else decimal(done)
            status.update(f"{stage}: {count}")

        yield tell
