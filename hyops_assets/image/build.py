"""From a verified ISO to the canonical disk: the pipeline, and the interface that all build methods share.

A build method gets an opened ISO and an overlay, and returns a raw disk. What goes into the overlay, and every gate
that the disk passes afterwards, is the same for all methods.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import JsonValue

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.image.digests import sha256_of_bytes, sha256_of_file
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.dpkg import suite_of
from hyops_assets.image.inspection.effective import EffectiveFiles
from hyops_assets.image.inspection.files import Ext4Files
from hyops_assets.image.inspection.view import PARTITIONS
from hyops_assets.image.intake.iso import OpenedIso, open_iso
from hyops_assets.image.methods.command import build_with_command
from hyops_assets.image.methods.method import BuildFailed, BuildMethod, BuildRequest, MadeDisk
from hyops_assets.image.methods.native import build_native
from hyops_assets.image.methods.packer import build_with_packer, template_of
from hyops_assets.image.methods.vyos_vm_images import build_with_vm_images, checkout_digest
from hyops_assets.image.overlay.dpkg_status import STATUS
from hyops_assets.image.overlay.lock import PackageLock, require_fits
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.overlay.packages import fetch, resolve
from hyops_assets.image.overlay.sources import NoSource, host_sources
from hyops_assets.image.tool_versions import library_versions, tool_versions
from hyops_assets.settings.build import AptSource, BuildMethodName, BuildSettings

BUILDER_VERSION = "5"
"""Part of every recipe. Raise it when the same ISO, lock and helper give other bytes, and name the reason here.

2: the EFI partition holds what VyOS' installer puts there, the signed shim and GRUB included where the ISO has them.
3: apt leaves the ISO's packages as they are where it can, which may choose other packages; a lock names the dpkg
status that it was solved against; a newly added ca-certificates has its bundle, a package without md5sums has them.
4: large files lie in the blocks that debugfs finds for them, no longer in those that mkfs.ext4 takes.
5: both variants have other bytes for the same disk: the qcow2 is written here, zeros of a raw.xz are described anew.
"""
_TOOLS = ("xorriso", "unsquashfs", "mkfs.ext4", "debugfs", "e2fsck", "apt-get", "xz")
"""What a build runs whatever its method; the version of xz stands for that of liblzma."""


def _native(request: BuildRequest) -> MadeDisk:
    build_native(
        request.opened,
        request.overlay,
        disk_bytes=request.settings.disk_bytes,
        console=request.settings.console,
        console_speed=request.settings.console_speed,
        menu_timeout_seconds=request.settings.menu_timeout_seconds,
        destination=request.destination,
        scratch=request.scratch,
        progress=request.progress,
    )
    return MadeDisk(accelerator="none", reproducible=True, programs=("mkfs.fat", "mcopy", "grub-mkimage"))


METHODS: Mapping[BuildMethodName, BuildMethod] = {
    "native": _native,
    "vyos-vm-images": build_with_vm_images,
    "packer": build_with_packer,
    "command": build_with_command,
}
"""Every build method by the name that settings and evidence carry."""


@dataclass(frozen=True)
class BuiltDisk:
    """A raw disk, what went into it, and how it was made.

    `path` is where it stands; `disk` reads it once more, which an encoder does anyway and tells for nothing.
    `dpkg_status` is the guest's /var/lib/dpkg/status, read off the finished disk; `epoch` is the ISO's time.
    `facts` is evidence, never identity: method, squashfs digest, tool versions, whole milliseconds per stage.
    """

    path: Path
    lock: PackageLock
    helper_sha256: str
    squashfs_sha256: str
    dpkg_status: bytes
    epoch: int
    facts: dict[str, JsonValue]

    @cached_property
    def disk(self) -> Disk:
        """Size and digest of the disk, read from the file when first asked."""
        return Disk(size_bytes=self.path.stat().st_size, sha256=sha256_of_file(self.path))


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
    version: str | None = None,
    source_iso_url: str = "",
) -> BuiltDisk:
    """Build the canonical disk of a release, by the method that is configured.

    With `native`, the same ISO, lock and helper give the same bytes.

    Args:
        iso: the file; its signature has been verified.
        release: the release that it was published as.
        settings: method, disk size, console, packages and where they come from.
        helper: the canonical cloud-init module.
        lock: the packages of an earlier build of this ISO (`overlay.lock.read_lock`); None solves them now.
        cache: kept between builds: apt's indexes and .debs.
        destination: the raw disk, sparse; it appears when it is complete.
        scratch: an existing directory with room for the ISO twice; nothing is left there.
        progress: called with every stage.
        version: of the record, where it is a revision of the release.
        source_iso_url: where the ISO came from; for methods that tell others.

    Raises:
        WrongIso, BadIso: the ISO is not that release, or not whole.
        Unsolvable, NoSource, MissingVersion, TamperedPackage: the packages cannot be had.
        WrongLock: the lock is of another ISO.
        BadDisk, GrubFailed, NoSpace: the disk cannot be made.
        BuildFailed: another method than `native` ended without a usable disk; each has errors of its own besides.
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
            made = METHODS[settings.method](
                BuildRequest(
                    iso=iso,
                    opened=opened,
                    overlay=overlay,
                    helper=helper,
                    version=version or release,
                    source_iso_url=source_iso_url,
                    settings=settings,
                    destination=destination,
                    scratch=own,
                    progress=progress,
                )
            )
        status = _dpkg_status(destination, opened)
    return BuiltDisk(
        destination,
        lock,
        sha256_of_file(helper),
        opened.squashfs_sha256,
        status,
        opened.epoch,
        {
            "method": settings.method,
            **made.facts,
            "squashfs_sha256": opened.squashfs_sha256,
            "iso": opened.facts.model_dump(mode="json"),
            "tools": {**tool_versions({*_TOOLS, *made.programs}), **library_versions()},
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
    status = opened.squashfs.read(STATUS)
    if lock is None:
        sources = settings.apt_sources or host_sources(suite_of(status))
        lock = resolve(status, settings.packages, sources, cache)
    else:
        require_fits(lock, status)
        sources = _sources_if_any(settings, lock.suite)
    return lock, fetch(lock, sources, cache)


def _dpkg_status(disk: Path, opened: OpenedIso) -> bytes:
    """Return the guest's dpkg status, overlay over squashfs, wherever the overlay is from."""
    partitions = read_table(disk).partitions
    if len(partitions) != PARTITIONS:
        raise BuildFailed(f"the disk has {len(partitions)} partitions", hint="let the method make a disk as VyOS does")
    root = partitions[-1]
    files = Ext4Files(Slot(disk, root.offset, root.size_bytes))
    status = EffectiveFiles(files, f"/boot/{opened.release}/rw", opened.squashfs).find(STATUS)
    if status is None:
        raise BuildFailed(f"the disk has no {STATUS}", hint="let the method keep dpkg's database")
    return status


def _sources_if_any(settings: BuildSettings, suite: str) -> Sequence[AptSource]:
    """Return sources for packages that are locked: none at all serve as well once all of them are cached."""
    try:
        return settings.apt_sources or host_sources(suite)
    except NoSource:
        return []


def method_inputs(settings: BuildSettings) -> dict[str, str]:
    """Return what the configured method follows, by digest: none for `native`.

    It belongs into the recipe: a changed playbook, template or command makes another disk from the same settings.
    Digests, because the recipe is published, and paths and commands are private. What a command reads is not known
    here.

    Raises:
        PackerNotUsable: the template does not exist.
    """
    if settings.method == "packer":
        return {"template_sha256": sha256_of_file(template_of(settings.packer))}
    if settings.method == "vyos-vm-images" and settings.vyos_vm_images is not None:
        images = settings.vyos_vm_images
        return {"checkout_sha256": checkout_digest(images.checkout), "playbook": images.playbook}
    if settings.method == "command" and settings.command is not None:
        command = settings.command
        digest = sha256_of_bytes(command.build_command.encode())
        return {"command_sha256": digest, "complete": str(command.complete).lower()}
    return {}
