"""From a verified ISO to the canonical disk: the pipeline, and the interface that all build methods share.

A build method gets an opened ISO and an overlay, and returns a raw disk. What goes into the overlay, and every gate
that the disk passes afterwards, is the same for all methods.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.contract.settings import AptSource, BuildSettings
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.intake.iso import OpenedIso, open_iso
from hyops_assets.image.methods.native import build_native
from hyops_assets.image.overlay.lock import PackageLock
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.overlay.packages import fetch, host_sources, resolve, suite_of
from hyops_assets.image.overlay.sources import NoSource
from hyops_assets.image.tool_versions import tool_versions

DPKG_STATUS = "/var/lib/dpkg/status"
BUILDER_VERSION = "1"
"""Part of every recipe. Raise it when the same ISO, lock and helper give other bytes, and name the reason here."""
_TOOLS = ("xorriso", "unsquashfs", "mkfs.ext4", "debugfs", "e2fsck", "mkfs.fat", "mcopy", "grub-mkimage", "apt-get")


class BuildMethod(Protocol):
    """One way to make a disk of an ISO and an overlay. Deterministic, or not publishable."""

    def __call__(
        self,
        opened: OpenedIso,
        overlay: Tree,
        *,
        disk_bytes: int,
        console: str,
        destination: Path,
        scratch: Path,
        progress: Progress = ...,
    ) -> Disk:
        """Write the raw disk to `destination`, whole or not at all, and return its size and digest."""
        ...


METHODS: dict[str, BuildMethod] = {"native": build_native}
"""Every build method by the name that evidence carries."""


@dataclass(frozen=True)
class BuiltDisk:
    """A raw disk, what went into it, and how it was made.

    `facts` is evidence, never identity: method, squashfs digest, tool versions, whole milliseconds per stage.
    """

    disk: Disk
    lock: PackageLock
    helper_sha256: str
    squashfs_sha256: str
    facts: dict[str, JsonValue]


def build_disk(
    iso: Path,
    *,
    release: str,
    settings: BuildSettings,
    helper: Path,
    lock: PackageLock | None,
    cache: Path,
    destination: Path,
    scratch: Path,
    progress: Progress = silent,
    method: str = "native",
) -> BuiltDisk:
    """Build the canonical disk of a release. The same ISO, lock and helper give the same bytes.

    Args:
        iso: the file; its signature has been verified.
        release: the release that it was published as.
        settings: disk size, console, packages and where they come from.
        helper: the canonical cloud-init module.
        lock: the packages of an earlier build of this record; None solves them now.
        cache: kept between builds: apt's indexes and .debs.
        destination: the raw disk, sparse; it appears when it is complete.
        scratch: an existing directory with room for the ISO twice; nothing is left there.
        progress: told every stage.
        method: a key of `METHODS`.

    Raises:
        WrongIso, BadIso: the ISO is not that release, or not whole.
        Unsolvable, NoSource, TamperedPackage: the packages cannot be had.
        BadDisk, GrubFailed, NoSpace: the disk cannot be made.
    """
    stages = _Stages()
    with tempfile.TemporaryDirectory(dir=scratch, prefix="build.") as name:
        own = Path(name)
        with stages.timed("open iso"):
            opened = open_iso(iso, release=release, scratch=own, progress=progress)
        with stages.timed("packages"):
            progress("packages", 0, None)
            lock, debs = _packages(opened, settings, lock, cache)
        with stages.timed("overlay"):
            progress("overlay", 0, None)
            overlay = build_overlay(opened.squashfs, debs, helper, scratch=own / "overlay")
        with stages.timed("disk"):
            disk = METHODS[method](
                opened,
                overlay,
                disk_bytes=settings.disk_bytes,
                console=settings.console,
                destination=destination,
                scratch=own,
                progress=progress,
            )
    return BuiltDisk(
        disk,
        lock,
        sha256_of_file(helper),
        opened.squashfs_sha256,
        {
            "method": method,
            "squashfs_sha256": opened.squashfs_sha256,
            "iso": opened.facts.model_dump(mode="json"),
            "tools": dict(tool_versions(_TOOLS)),
            "milliseconds": dict(stages.milliseconds),
        },
    )


@dataclass
class _Stages:
    """How long each stage took. Whole milliseconds: evidence is canonical JSON, which has no floats."""

    milliseconds: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.milliseconds[stage] = round((time.monotonic() - begun) * 1000)


def _packages(
    opened: OpenedIso, settings: BuildSettings, lock: PackageLock | None, cache: Path
) -> tuple[PackageLock, dict[str, Path]]:
    status = opened.squashfs.read(DPKG_STATUS)
    if lock is None:
        sources = settings.apt_sources or host_sources(suite_of(status))
        lock = resolve(status, settings.packages, sources, cache)
    else:
        sources = _sources_if_any(settings, lock.suite)
    return lock, fetch(lock, sources, cache)


def _sources_if_any(settings: BuildSettings, suite: str) -> Sequence[AptSource]:
    """Return sources for packages that are locked: none at all serve as well once all of them are cached."""
    try:
        return settings.apt_sources or host_sources(suite)
    except NoSource:
        return []
