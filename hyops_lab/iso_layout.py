"""The layout of a VyOS installer ISO, around a given squashfs: live/, version.json, sha256sum.txt.

Serves every look-alike: what differs between them is the squashfs, the kernel and the initrd. The layout is that
of vyos-build's live-build images.
"""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hyops_assets.contract.version import release_time
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import run

KERNEL_VERSION = "6.6.117-vyos"
"""The kernel that a look-alike claims to hold; names its files."""

_UNDATED = datetime(2026, 3, 1, tzinfo=UTC)
_MODE_DIRECTORY, _MODE_FILE = 0o755, 0o644


@dataclass(frozen=True)
class LiveFiles:
    """What stands in `live/`: the squashfs, and the kernel and initrd that a loader starts."""

    squashfs: Path
    kernel: Path
    initrd: Path


def built_at(release: str) -> datetime:
    """Return when a release was built: the minute in a rolling release's name, else 1 March 2026."""
    return release_time(release) or _UNDATED


def version_json(release: str, changes: Mapping[str, str] | None = None) -> bytes:
    """Return the version.json of a look-alike: VyOS' keys, nothing random.

    Args:
        release: what it claims to be.
        changes: keys to set otherwise, for an ISO that shall be refused.
    """
    described = {
        "version": release,
        "flavor": "generic",
        "built_by": "lab@hyops.invalid",
        "built_on": built_at(release).strftime("%a %d %b %Y %H:%M UTC"),
        "build_uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"hyops-lab:{release}")),
        "build_git": "0000000000",
        "build_branch": "current",
        "release_train": "current",
        "architecture": "amd64",
        "build_type": "development",
        "build_comment": "look-alike of the HyOps lab",
        "bugtracker_url": "",
        "documentation_url": "",
        "project_news_url": "",
        "support_url": "",
        **(changes or {}),
    }
    return json.dumps(described, indent=2).encode() + b"\n"


def write_iso(destination: Path, live: LiveFiles, *, release: str, described: bytes) -> Path:
    """Write an ISO; the same input gives the same bytes. It appears under its name when it is complete.

    Args:
        destination: the ISO file; replaced where it exists.
        live: the files of `live/`.
        release: dates every file in it.
        described: the version.json.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}.") as scratch:
        root = Path(scratch) / "root"
        (root / "live").mkdir(parents=True)
        names = {
            "filesystem.squashfs": live.squashfs,
            "vmlinuz": live.kernel,
            f"vmlinuz-{KERNEL_VERSION}": live.kernel,
            "initrd.img": live.initrd,
            f"initrd.img-{KERNEL_VERSION}": live.initrd,
        }
        for name, source in names.items():
            shutil.copyfile(source, root / "live" / name)
        (root / "live" / "packages.txt").write_text("")
        (root / "version.json").write_bytes(described)
        sums = [
            f"{sha256_of_file(path)}  ./{path.relative_to(root)}\n"
            for path in sorted(root.rglob("*"))
            if path.is_file()
        ]
        (root / "sha256sum.txt").write_text("".join(sums))
        set_modes(root)
        partial = Path(scratch) / "iso"
        _master(root, partial, built_at(release))
        partial.rename(destination)
    return destination


def set_modes(root: Path) -> None:
    """Give every directory and file below `root` the usual mode, whatever the caller's umask was.

    Files that are executable for their owner stay executable.
    """
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            continue
        executable = path.is_dir() or os.access(path, os.X_OK)
        path.chmod(_MODE_DIRECTORY if executable else _MODE_FILE)


def _master(root: Path, iso: Path, built: datetime) -> None:
    stamp = built.strftime("%Y%m%d%H%M%S00")
    run(
        [
            *(
                "xorriso",
                "-no_rc",
                "-as",
                "mkisofs",
                "-quiet",
                "-V",
                "VyOS",
                "-A",
                "VyOS",
                "-publisher",
                "lab@hyops.invalid",
            ),
            *("-J", "-r", f"--modification-date={stamp}", "--set_all_file_dates", stamp, "-o", iso, root),
        ],
        env={"SOURCE_DATE_EPOCH": str(int(built.timestamp()))},
    )
