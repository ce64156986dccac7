"""Versions of a VyOS release and of our record of it.

A *release* is what VyOS publishes (`2026.03.03-0027-rolling`). A *record version* is a release, or a later
revision of our build of it (`2026.03.03-0027-rolling-r2`): the source document's numbering.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, total_ordering
from typing import Literal, Self

from hyops_assets.contract.errors import LeadsNowhere, Refused

RELEASE_PATTERN = re.compile(
    r"\d{4}\.\d{2}\.\d{2}-\d{4}-rolling|1\.[45]-rolling-\d{12}|1\.5-stream-\d{4}-Q\d|\d{4}\.\d{2}(?:\.\d{1,3})?(?![.\d]*\d)"
)
"""Every shape VyOS has published: rolling since 2025, rolling until 2025, Stream by quarter, Stream by month.

All are short: a release names files, whose names are longer than it is and must fit NAME_MAX (255 bytes).
"""

ReleaseLine = Literal["rolling", "stream"]
"""Nightly builds and quarterly ones. VyOS signs each line with a key of its own."""

_DATED = re.compile(
    r"(\d{4})\.(\d{2})\.(\d{2})-(\d{2})(\d{2})-rolling|1\.[45]-rolling-(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})", re.ASCII
)
_QUARTER = re.compile(r"1\.5-stream-(\d{4})-Q(\d)", re.ASCII)
_MONTH = re.compile(r"(\d{4})\.(\d{2})(?:\.(\d+))?", re.ASCII)
_MONTHS_IN_A_QUARTER = 3
_ISO_NAME = re.compile(r"vyos-(?P<release>.+?)(?P<flavor>-generic)?-amd64\.iso")
_FLAVOR_IN_NAME_SINCE = datetime(2024, 8, 4, tzinfo=UTC)

_REVISION = re.compile(r"(?P<release>.+?)(?:-r(?P<revision>[1-9]\d{0,3}))?", re.ASCII)
KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
"""A record key, as HybridOps validates it."""


class BadVersion(Refused, LeadsNowhere):
    """A version that VyOS never publishes, or that names no revision of ours."""


@total_ordering
@dataclass(frozen=True)
class RecordVersion:
    """A release and the number of our build of it: 1 is written without a suffix, then `-r2`, `-r3`.

    Versions are ordered by the time of their release (`release_order`), then by revision; of two names of one time
    (`2025.01`, `1.5-stream-2025-Q1`) neither is less.
    """

    release: str
    revision: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `2026.03.03-0027-rolling` or `2026.03.03-0027-rolling-r2`.

        Raises:
            BadVersion: not a VyOS release, one of the 31st of February, or `-r0`, `-r1` (the first build carries no
                suffix).
        """
        match = _REVISION.fullmatch(text)
        release, revision = (match["release"], match["revision"]) if match else (text, None)
        if not RELEASE_PATTERN.fullmatch(release) or not text.isascii():
            raise BadVersion(
                f"{text!r} is not a VyOS release such as 2026.03.03-0027-rolling or 2026.03",
                hint="take the version from the release feed, unchanged, with -r2, -r3 … for a rebuild",
            )
        if _order(release) is None:
            raise BadVersion(
                f"{text!r} names a time that no calendar has",
                hint="take the version from the release feed, unchanged",
            )
        if revision == "1":
            raise BadVersion(f"{text!r}: the first build carries no suffix", hint=f"use {release}")
        return cls(release, int(revision or 1))

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, RecordVersion):
            return NotImplemented
        return (release_order(self.release), self.revision) < (release_order(other.release), other.revision)

    def __str__(self) -> str:
        return self.release if self.revision == 1 else f"{self.release}-r{self.revision}"

    def next_revision(self) -> "RecordVersion":
        """Return the version that a rebuild of the same release gets."""
        return RecordVersion(self.release, self.revision + 1)


def require_key(key: str) -> str:
    """Return the record key unchanged.

    Raises:
        Refused: it does not match HybridOps' pattern.
    """
    if not KEY_PATTERN.fullmatch(key):
        raise Refused(f"record key {key!r} does not match {KEY_PATTERN.pattern}", hint="use a key such as vyos-1.5")
    return key


def release_line(release: str) -> ReleaseLine:
    """Return the line that a release belongs to."""
    return "rolling" if "rolling" in release else "stream"


def release_time(release: str) -> datetime | None:
    """Return the minute in which a rolling release was built, which both schemes name in UTC.

    None for a Stream release, whose name tells a quarter or a month only, and for a time that no calendar has.
    """
    match = _DATED.fullmatch(release)
    if match is None:
        return None
    try:
        return datetime(*(int(part) for part in match.groups() if part), tzinfo=UTC)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def release_order(release: str) -> tuple[datetime, int]:
    """Return the place of a release in its line, by its name alone: what a feed says of times may be wrong.

    Returns:
        The first moment at which it can have been built, in UTC, and the number of its correction (`2026.03.1`).

    Raises:
        BadVersion: not a release.
    """
    found = _order(RecordVersion.parse(release).release)
    if found is None:
        raise BadVersion(f"{release!r} names a time that no calendar has", hint="take the version from the feed")
    return found


def require_release(text: str) -> str:
    """Return a release unchanged.

    Raises:
        ValueError: VyOS publishes no such release.
    """
    try:
        parsed = RecordVersion.parse(text)
    except BadVersion as error:
        raise ValueError(error.message) from error
    if parsed.revision != 1:
        message = f"{text} is a revision of ours: name the release {parsed.release}"
        raise ValueError(message)
    return text


def _order(release: str) -> tuple[datetime, int] | None:
    if _DATED.fullmatch(release):
        built = release_time(release)
        return (built, 0) if built else None
    try:
        if quarter := _QUARTER.fullmatch(release):
            month = (int(quarter[2]) - 1) * _MONTHS_IN_A_QUARTER + 1
            return datetime(int(quarter[1]), month, 1, tzinfo=UTC), 0
        if named := _MONTH.fullmatch(release):
            return datetime(int(named[1]), int(named[2]), 1, tzinfo=UTC), int(named[3] or 0)
    except ValueError:
        pass
    return None


def iso_file_name(release: str) -> str:
    """Return the file name under which VyOS publishes the amd64 ISO of a release."""
    return f"vyos-{release}-generic-amd64.iso"


def release_of_iso(file_name: str) -> str | None:
    """Return the release whose amd64 ISO VyOS publishes, or published, under a name; None where it names none so.

    Until August 2024 the name did not say the flavor.
    """
    match = _ISO_NAME.fullmatch(file_name)
    release = match["release"] if match else ""
    if match is None or not RELEASE_PATTERN.fullmatch(release) or not release.isascii():
        return None
    built = release_time(release)
    if _DATED.fullmatch(release) and built is None:
        return None
    before = built is not None and built < _FLAVOR_IN_NAME_SINCE
    return release if match["flavor"] or before else None
