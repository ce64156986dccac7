"""Intake of a VyOS ISO: take it apart without mounting, verify its own sums, and see that it is the release asked for.

The signature is verified elsewhere (`signature.py`), before anything here looks inside. What an ISO must agree
with itself about: version.json on the ISO, version.json and /opt/vyatta/etc/version in its squashfs, and the
release it was published as.
"""

import json
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import ProgramFailed, run
from hyops_assets.image.space import space_needed
from hyops_assets.image.squashfs import MissingMember, Squashfs

SQUASHFS = "live/filesystem.squashfs"
_SUMS = "sha256sum.txt"
_SUM_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<path>.+)")
_DATED = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})-(\d{2})(\d{2})-rolling")
_BUILT_ON = "%a %d %b %Y %H:%M UTC"
_INSTALLED = re.compile(r"^Version:\s*(\S+)\s*$", re.MULTILINE)
_ONE_DAY = timedelta(days=1)
_SQUASHFS_HEADER = struct.Struct("<4sII")
_DESCRIPTOR_AT, _DESCRIPTOR = 16 * 2048 + 1, b"CD001"
_FAT_EPOCH = 315532800
"""1 January 1980: the first time that the EFI partition's file system can hold."""


class BadIso(HyopsError):
    """Not an ISO, not a VyOS ISO, or a damaged one."""


class WrongIso(BadIso):
    """A sound VyOS ISO that is not the one asked for: another release, flavor or architecture."""


class IsoFacts(BaseModel):
    """What an ISO's version.json says of itself. Keys beyond these are VyOS' own affair."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str
    flavor: str
    architecture: str
    built_by: str = ""
    built_on: str = ""
    build_uuid: str = ""
    build_git: str = ""
    build_branch: str = ""
    build_type: str = ""

    @property
    def built_at(self) -> datetime | None:
        """When it was built; None where `built_on` is in no form we know."""
        try:
            return datetime.strptime(self.built_on, _BUILT_ON).replace(tzinfo=UTC)
        except ValueError:
            return None


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


def open_iso(iso: Path, *, release: str, scratch: Path, progress: Progress = silent) -> OpenedIso:
    """Take an ISO apart and verify that it is whole and the release asked for.

    Args:
        iso: the file; its signature has been verified.
        release: the release that it was published as.
        scratch: receives the directory `iso` (about the ISO's size), which must live as long as the answer.
        progress: told the bytes that were hashed.

    Raises:
        BadIso: no ISO, an unlisted squashfs, a file that differs from its line in sha256sum.txt.
        NoSpace: no room in scratch.
        WrongIso: names every mismatch of release, version files, flavor, architecture and build time.
    """
    root = scratch / "iso"
    with space_needed(scratch, iso.stat().st_size):
        _extract(iso, root)
    sums = _verify_sums(iso, root, progress)
    squashfs = Squashfs(root / SQUASHFS)
    try:
        facts = _facts(iso, (root / "version.json").read_bytes())
        inside = _facts(iso, squashfs.read("/usr/share/vyos/version.json"))
        installed = _INSTALLED.search(squashfs.read("/opt/vyatta/etc/version").decode(errors="replace"))
    except (FileNotFoundError, MissingMember) as error:
        raise BadIso(f"{iso.name} is not a VyOS ISO: {error}", hint="give an installer ISO of VyOS") from error
    _require_match(iso, release, facts, inside, installed[1] if installed else "no version")
    return OpenedIso(release, squashfs, sums[SQUASHFS], facts, _epoch(squashfs.path))


def _extract(iso: Path, root: Path) -> None:
    # xorriso takes any file for a medium and extracts nothing from one that holds no file system.
    with iso.open("rb") as file:
        file.seek(_DESCRIPTOR_AT)
        if file.read(len(_DESCRIPTOR)) != _DESCRIPTOR:
            raise BadIso(f"{iso.name} is not an ISO 9660 image", hint="give an installer ISO of VyOS")
    try:
        # -no_rc: a user's ~/.xorrisorc must not change what is read.
        run(["xorriso", "-no_rc", "-osirrox", "on", "-indev", iso, "-extract", "/", root])
    except ProgramFailed as error:
        raise BadIso(f"{iso.name} cannot be read as an ISO: {error.message}", hint="fetch it again") from error
    # The ISO's own modes are read-only; an ordinary user could neither delete nor rename what was extracted.
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def _verify_sums(iso: Path, root: Path, progress: Progress) -> dict[str, str]:
    listing = root / _SUMS
    if not listing.is_file():
        raise BadIso(f"{iso.name} carries no {_SUMS}", hint="give an ISO of VyOS 1.4 or newer")
    sums: dict[str, str] = {}
    for line in listing.read_text().splitlines():
        match = _SUM_LINE.fullmatch(line)
        path = PurePosixPath(match["path"]) if match else None
        if match is None or path is None or path.is_absolute() or ".." in path.parts:
            raise BadIso(f"{_SUMS} of {iso.name} has the line {line!r}", hint="fetch the ISO again")
        sums[str(path)] = match["sha256"]
    if SQUASHFS not in sums:
        raise BadIso(f"{_SUMS} of {iso.name} does not list {SQUASHFS}", hint="give an installer ISO of VyOS")
    wrong = []
    for name, expected in sums.items():
        path = root / name
        found = sha256_of_file(path, progress=progress) if path.is_file() and not path.is_symlink() else "no such file"
        if found != expected:
            wrong.append(f"{name}: expected {expected}, found {found}")
    if wrong:
        raise BadIso(f"{iso.name} is damaged: {'; '.join(wrong)}", hint="fetch the ISO again")
    return sums


def _facts(iso: Path, text: bytes) -> IsoFacts:
    try:
        return IsoFacts.model_validate(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise BadIso(f"version.json of {iso.name} is not usable: {error}", hint="fetch the ISO again") from error


def _require_match(iso: Path, release: str, facts: IsoFacts, inside: IsoFacts, installed: str) -> None:
    compared = [
        ("version.json", facts.version, release),
        ("/usr/share/vyos/version.json", inside.version, release),
        ("/opt/vyatta/etc/version", installed, release),
        ("flavor", facts.flavor, "generic"),
        ("architecture", facts.architecture, "amd64"),
        ("build_uuid of both version.json", inside.build_uuid, facts.build_uuid),
    ]
    wrong = [f"{what}: expected {expected}, found {found}" for what, found, expected in compared if found != expected]
    named = _DATED.fullmatch(release)
    if named and facts.built_at:
        expected_at = datetime(*(int(part) for part in named.groups()), tzinfo=UTC)
        if abs(facts.built_at - expected_at) > _ONE_DAY:
            wrong.append(f"built_on: expected within a day of {expected_at:%Y-%m-%d %H:%M}, found {facts.built_on}")
    if wrong:
        raise WrongIso(
            f"{iso.name} is not {release}: {'; '.join(wrong)}",
            hint="give the generic amd64 ISO of that release, or name the release that this ISO is",
        )


def _epoch(squashfs: Path) -> int:
    with squashfs.open("rb") as file:
        _magic, _inodes, made_at = _SQUASHFS_HEADER.unpack(file.read(_SQUASHFS_HEADER.size))
    return max(made_at, _FAT_EPOCH)
