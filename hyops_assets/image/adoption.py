"""A disk that was built elsewhere: validated and taken over as it is (`record_url`, `record_local_path`).

Nothing is added to it and nothing taken away: what was published elsewhere and what is recorded here are the same
disk. The same gates decide about it as about a disk of ours. How it was built is not known, and its evidence says so.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.contract.urls import require_contract_url
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.inspection.arrival import UNKNOWN_RELEASE, release_on
from hyops_assets.image.methods.produced import decode_disk
from hyops_assets.image.variants import stock_xz
from hyops_assets.image.variants.disk_source import DiskFormat, format_of
from hyops_assets.image.variants.encoded import NotADisk, require_disk_size
from hyops_assets.image.variants.qcow2_header import require_plain_qcow2


class NotAdopted(Refused):
    """A disk that was built elsewhere is not the one that was named, or was not named well enough."""


@dataclass(frozen=True)
class AdoptedDisk:
    """A raw disk that was built elsewhere.

    Attributes:
        disk: size and digest of the raw disk.
        format: of the file in which it came.
        file_sha256: of that file.
        facts: its build's evidence: that there is none.
    """

    disk: Disk
    format: DiskFormat
    file_sha256: str
    facts: dict[str, JsonValue]


def require_adoptable(url: str, sha256: str | None, version: RecordVersion) -> None:
    """Refuse a `record_url` before it is fetched.

    Args:
        url: where the disk is published.
        sha256: of the file there, as its publisher says.
        version: of the record.

    Raises:
        NotAdopted: no digest was given: what a URL answers is then anyone's disk.
        BadUrl: the URL may not stand in a contract: it moves, expires, or names another version.
    """
    if not sha256:
        raise NotAdopted(
            f"record_url {url} was given without record_sha256", hint="give the SHA-256 that was published with it"
        )
    require_contract_url(url, version)


def require_adoptable_size(file: Path, most_bytes: int) -> None:
    """Refuse a file before its bytes are read: what a disk claims to be is hashed and looked into to its end.

    Args:
        file: qcow2, raw.xz or raw.
        most_bytes: of the disk in it, and of the file.

    Raises:
        NotADisk: it is no regular file, has no size that a disk has, or is larger.
        ForeignFormat, NotPlainQcow2, BadRawXz: it is of no format of ours, or damaged.
    """
    if not file.is_file():
        raise NotADisk(f"{file.name} is no file", hint="give a disk's file: raw, qcow2 or raw.xz")
    format_ = format_of(file)
    size = file.stat().st_size
    if format_ == "qcow2":
        size = max(size, require_plain_qcow2(file).disk_bytes)
    elif format_ == "raw.xz":
        size = max(size, stock_xz.promised_bytes(file))
    else:
        require_disk_size(size, file.name)
    if size > most_bytes:
        raise NotADisk(
            f"{file.name} holds a disk of {size} bytes; one of up to {most_bytes} is taken over",
            hint="give the image itself, not a router's grown disk; or raise build.disk_bytes in config/pipeline.yml",
        )


def adopt_disk(
    file: Path,
    *,
    most_bytes: int,
    version: RecordVersion,
    destination: Path,
    scratch: Path,
    sha256: str | None = None,
    url: str | None = None,
    progress: Progress = silent,
) -> AdoptedDisk:
    """Take over a disk that was built elsewhere.

    Args:
        file: qcow2, raw.xz or raw, at a local path or fetched from `url`; it is only read.
        most_bytes: of the disk (`BuildSettings.most_adopted_bytes`).
        version: of the record; its release must be the one on the disk.
        destination: the raw disk, sparse; it appears when it is complete.
        scratch: takes what is looked at meanwhile; nothing is left there.
        sha256: of the file; needed where it came from a URL.
        url: where the file came from; None for a local path.
        progress: called with the bytes done.

    Raises:
        NotAdopted: the file is not the one of this digest, or its disk holds another release; nothing is left.
        BadUrl: the URL may not stand in a contract.
        BuildFailed, NotADisk, NotPlainQcow2, BadQcow2, BadRawXz: the file is no whole disk, or a larger one.
        NoSpace: the disk does not fit.
    """
    if url is not None:
        require_adoptable(url, sha256, version)
    require_adoptable_size(file, most_bytes)
    found = sha256_of_file(file, stage="hash record", progress=progress)
    if sha256 is not None and found != sha256.lower():
        raise NotAdopted(
            f"{file.name} has the SHA-256 {found}, not {sha256}",
            hint="ask its publisher for the digest; do not use these bytes",
        )
    format_ = decode_disk(file, destination, progress=progress)
    release = release_on(destination, scratch)
    if release == UNKNOWN_RELEASE:
        destination.unlink()
        raise NotAdopted(
            f"{file.name} holds no VyOS image that can be read", hint="run hyops inspect on it: it says why"
        )
    if release != version.release:
        destination.unlink()
        raise NotAdopted(
            f"{file.name} holds the release {release}, not {version.release}",
            hint="set record_version to the release on the disk, or give the disk of that version",
        )
    disk = Disk(
        size_bytes=destination.stat().st_size, sha256=sha256_of_file(destination, stage="hash disk", progress=progress)
    )
    return AdoptedDisk(disk, format_, found, _facts(file, url, format_, found))


def _facts(file: Path, url: str | None, format_: DiskFormat, sha256: str) -> dict[str, JsonValue]:
    # The path of a file on this host is private; its name and digest are.
    return {
        "method": "adopted",
        "accelerator": "unknown",
        "reproducible": False,
        "publishable": True,
        "source": {"url": url, "file_name": file.name, "format": format_, "sha256": sha256},
        "iso": None,
        "note": "built elsewhere; ISO, packages and tools are not known here, the gates alone vouch for this disk",
    }
