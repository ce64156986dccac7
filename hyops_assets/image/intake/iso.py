"""Intake of a VyOS ISO: take it apart without mounting, verify its own sums, and see that it is the release asked for.

The signature is verified elsewhere (`signature.py`), before anything here looks inside. What an ISO must agree
with itself about: version.json on the ISO, version.json and /opt/vyatta/etc/version in its squashfs, and the
release it was published as.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.version import RecordVersion, release_time
from hyops_assets.image.intake.facts import IsoFacts, installed_version, parse_facts
from hyops_assets.image.intake.layout import Layout, find_layout
from hyops_assets.image.intake.sums import SUMS, parse_sums, verify_sums
from hyops_assets.image.intake.volume import BadIso, taken_apart
from hyops_assets.image.squashfs import MissingMember, Squashfs

SQUASHFS = "live/filesystem.squashfs"
_FACTS = "version.json"
_FACTS_INSIDE = "/usr/share/vyos/version.json"
_VERSION_INSIDE = "/opt/vyatta/etc/version"
_NOT_VYOS = "give an installer ISO of VyOS"
_ONE_DAY = timedelta(days=1)
_SQUASHFS_HEADER = struct.Struct("<4sII")
_FAT_EPOCH = 315532800
"""1 January 1980: the first time that the EFI partition's file system can hold."""


class WrongIso(BadIso):
    """A sound VyOS ISO that is not the one asked for: another release, flavor or architecture."""


@dataclass(frozen=True)
class OpenedIso:
    """A verified ISO, taken apart.

    `epoch` dates everything that is built from it: the second in which its squashfs was made.
    """

    release: str
    squashfs: Squashfs
    squashfs_sha256: str
    facts: IsoFacts
    epoch: int

    @cached_property
    def layout(self) -> Layout:
        """Where the release keeps its files."""
        return find_layout(self.squashfs)


def open_iso(iso: Path, *, release: str, scratch: Path, progress: Progress = silent) -> OpenedIso:
    """Take an ISO apart and verify that it is whole, the release asked for, and laid out as a disk needs it.

    Args:
        iso: the file; its signature has been verified.
        release: the release that it was published as.
        scratch: receives the directory `iso` (about the ISO's size), which must live as long as the answer. It is
            gone where this raises, and a former one is replaced.
        progress: called with the stage and its bytes; what it raises goes through.

    Raises:
        BadVersion: VyOS publishes no such release.
        BadIso: no ISO or a truncated one, an unlisted squashfs, a file that differs from its line in sha256sum.txt,
            a member that leaves the tree.
        WrongIso: names every mismatch of release, version files, flavor, architecture and build time.
        UnknownLayout: names every file that a disk needs and that was not found.
        NoSpace: no room in scratch.
    """
    RecordVersion.parse(release)
    with taken_apart(iso, scratch / "iso", progress) as files:
        sums = parse_sums(_file(iso, files, SUMS, hint="give an ISO of VyOS 1.4 or newer").read_bytes())
        if SQUASHFS not in sums:
            raise BadIso(f"{SUMS} of {iso.name} does not list {SQUASHFS}", hint="give an installer ISO of VyOS")
        verify_sums(sums, files, progress)
        squashfs = Squashfs(files[SQUASHFS])
        facts = parse_facts(_file(iso, files, _FACTS).read_bytes(), f"{_FACTS} of {iso.name}")
        progress("compare the versions", 0, None)
        try:
            inside = parse_facts(squashfs.read(_FACTS_INSIDE), f"{_FACTS_INSIDE} in {iso.name}")
            installed = installed_version(squashfs.read(_VERSION_INSIDE))
        except MissingMember as error:
            raise BadIso(f"{iso.name} is not a VyOS ISO: {error.message}", hint=_NOT_VYOS) from error
        _require_match(iso, release, facts, inside, installed or "no version")
        opened = OpenedIso(release, squashfs, sums[SQUASHFS], facts, squashfs_epoch(squashfs.path))
        progress("find the layout", 0, None)
        _ = opened.layout
        return opened


def _file(iso: Path, files: Mapping[str, Path], name: str, *, hint: str = _NOT_VYOS) -> Path:
    if name not in files:
        raise BadIso(f"{iso.name} carries no {name}", hint=hint)
    return files[name]


def _require_match(iso: Path, release: str, facts: IsoFacts, inside: IsoFacts, installed: str) -> None:
    compared = [
        (_FACTS, facts.version, release),
        (_FACTS_INSIDE, inside.version, release),
        (_VERSION_INSIDE, installed, release),
        ("flavor", facts.flavor, "generic"),
        ("architecture", facts.architecture, "amd64"),
        ("flavor inside", inside.flavor, facts.flavor),
        ("architecture inside", inside.architecture, facts.architecture),
        ("build_uuid of both version.json", inside.build_uuid, facts.build_uuid),
    ]
    wrong = [
        f"{what}: expected {expected}, found {_shown(found)}"
        for what, found, expected in compared
        if found != expected
    ]
    named = release_time(release)
    if named and facts.built_at and abs(facts.built_at - named) > _ONE_DAY:
        wrong.append(f"built_on: expected within a day of {named:%Y-%m-%d %H:%M}, found {facts.built_on}")
    if wrong:
        raise WrongIso(
            f"{iso.name} is not {release}: {'; '.join(wrong)}",
            hint="give the generic amd64 ISO of that release, or name the release that this ISO is",
        )


def _shown(found: str) -> str:
    """Return what an ISO says, fit for a terminal."""
    return found if found.isascii() and found.isprintable() and found and len(found) <= 80 else ascii(found)[:80]


def squashfs_epoch(squashfs: Path) -> int:
    """Return the second in which a squashfs was made: the time of everything that is built from it."""
    with squashfs.open("rb") as file:
        _magic, _inodes, made_at = _SQUASHFS_HEADER.unpack(file.read(_SQUASHFS_HEADER.size))
    return max(made_at, _FAT_EPOCH)
