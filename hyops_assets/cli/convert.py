"""`hyops convert`: the pipeline's disk encoders for a file of one's own, with a progress bar."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from hyops_assets.cli.console import console
from hyops_assets.cli.progress import busy
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.printable import printable
from hyops_assets.contract.progress import Progress as Report
from hyops_assets.image.variants import qcow2, raw, rawxz
from hyops_assets.image.variants.disk_source import DiskFormat, format_of, is_partitioned
from hyops_assets.image.variants.encoded import Encoded

_SUFFIXES: dict[str, DiskFormat] = {
    ".qcow2": "qcow2",
    ".raw": "raw",
    ".img": "raw",
    ".raw.xz": "raw.xz",
    ".xz": "raw.xz",
}
_FORMATS: dict[str, DiskFormat] = {"qcow2": "qcow2", "raw": "raw", "raw.xz": "raw.xz"}
_SIZE = re.compile(r"(\d+)([KM]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


class BadConversion(Refused):
    """A conversion that cannot be meant: an unknown format, or a destination that would be lost."""


def convert(
    source: Path,
    destination: Path,
    *,
    format_: str | None = None,
    source_format: str | None = None,
    threads: int | None = None,
    block_size: str | None = None,
    force: bool = False,
) -> None:
    """Write a disk in another format and print sizes and digests of both files.

    Args:
        source: raw, qcow2 or raw.xz; known by its bytes, and a raw disk without a partition table by its name.
        destination: appears when it is complete.
        format_: a key of `_FORMATS`; known by the destination's name where it is None.
        source_format: a key of `_FORMATS`, whatever the source's bytes and name say.
        threads: encoding threads; all cores by default.
        block_size: uncompressed bytes of a block of a raw.xz, such as `512K`.
        force: replace an existing file.

    Raises:
        BadConversion: a format is unknown, or the destination exists or is no regular file.
        ForeignFormat: the source is of another format.
        HyopsError: what the encoder raises.
    """
    target = _target_format(destination, format_)
    _require_files(source, destination, force=force)
    found = _source_format(source, source_format)
    encode = _encoder(target, threads, block_size)
    with _bar() as report:
        encoded = encode(source, destination, disk_format=found, progress=report)
    typer.echo(f"source  {printable(str(source))} ({found}, {source.stat().st_size} bytes)")
    typer.echo(f"disk    {encoded.disk.size_bytes} bytes, sha256 {encoded.disk.sha256}")
    typer.echo(f"file    {printable(str(destination))} ({target}, {encoded.size_bytes} bytes)")
    typer.echo(f"sha256  {encoded.sha256}")
    typer.echo(f"crc32c  {encoded.crc32c}")


def _source_format(source: Path, named: str | None) -> DiskFormat:
    if named is not None:
        return _named(named)
    found = format_of(source)
    # Any bytes are a raw disk: it is known by its partition table, or named, never assumed.
    if found == "raw" and source.suffix not in (".raw", ".img") and not is_partitioned(source):
        raise BadConversion(
            f"{source.name} shows no format: it has no partition table, and its name does not end in .raw or .img",
            hint="name its format: --from raw",
        )
    return found


def _named(format_: str) -> DiskFormat:
    if format_ not in _FORMATS:
        raise BadConversion(f"{format_!r} is no format", hint=f"give one of {', '.join(_FORMATS)}")
    return _FORMATS[format_]


def _encoder(target: DiskFormat, threads: int | None, block_size: str | None) -> Callable[..., Encoded]:
    if block_size is not None and target != "raw.xz":
        raise BadConversion(f"a {target} has no block size to choose", hint="leave --block-size out")
    if target == "raw":
        return raw.encode
    if target == "qcow2":
        return partial(qcow2.encode, threads=threads)
    block_bytes = rawxz.DEFAULT_BLOCK_BYTES if block_size is None else _in_bytes(block_size)
    return partial(rawxz.encode, threads=threads, block_bytes=block_bytes)


def _target_format(destination: Path, named: str | None) -> DiskFormat:
    if named is not None:
        return _named(named)
    for suffix, format_ in _SUFFIXES.items():
        if destination.name.endswith(suffix):
            return format_
    raise BadConversion(
        f"the name {destination.name} tells no format",
        hint=f"end it in one of {', '.join(_SUFFIXES)}, or give --format",
    )


def _require_files(source: Path, destination: Path, *, force: bool) -> None:
    if not source.is_file():
        raise BadConversion(f"{source} is no file", hint="give a disk image: raw, qcow2 or raw.xz")
    # A link that leads nowhere is there too, and would be replaced by a file.
    if not destination.exists() and not destination.is_symlink():
        if not destination.parent.is_dir():
            raise BadConversion(f"{destination.parent} is no directory", hint="make it, or give another destination")
        return
    # A device node would be replaced by a file of its name, which nothing that uses the device expects.
    if not destination.is_file():
        raise BadConversion(
            f"{destination} cannot be replaced: only a regular file is", hint="give another destination"
        )
    if destination.samefile(source):
        raise BadConversion(f"{destination} is the source itself", hint="give another destination")
    if not force:
        raise BadConversion(f"{destination} exists", hint="give another destination, or --force")


def _in_bytes(size: str) -> int:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise BadConversion(f"{size!r} is no size", hint="give bytes, or a number with K or M, such as 512K")
    return int(match[1]) * _UNITS[match[2].upper()]


@contextmanager
def _bar() -> Iterator[Report]:
    """Show progress on a terminal; elsewhere a line each half minute."""
    errors = console(stderr=True)
    if not errors.is_terminal:
        with busy(errors, "convert", ends=False) as step:
            yield step
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=errors, transient=True) as bar:
        tasks: dict[str, int] = {}

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)  # pyright: ignore[reportArgumentType]

        yield report
