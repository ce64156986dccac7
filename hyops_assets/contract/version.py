"""Versions of a VyOS release and of our record of it.

A *release* is what VyOS publishes (`2026.03.03-0027-rolling`). A *record version* is a release, or a later
revision of our build of it (`2026.03.03-0027-rolling-r2`): the source document's numbering.
"""

import re
from dataclasses import dataclass
from typing import Self

from hyops_assets.contract.errors import Refused

RELEASE_PATTERN = re.compile(
    r"\d{4}\.\d{2}\.\d{2}-\d{4}-rolling|1\.[45]-rolling-\d{12}|1\.5-stream-\d{4}-Q\d|\d{4}\.\d{2}(?:\.\d+)?"
)
"""Every shape VyOS has published: rolling since 2025, rolling until 2025, Stream by quarter, Stream by month."""

_REVISION = re.compile(r"(?P<release>.+?)(?:-r(?P<revision>[1-9]\d{0,3}))?", re.ASCII)
KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
"""A record key, as HybridOps validates it."""


class BadVersion(Refused):
    """A version that VyOS never publishes, or that names no revision of ours."""


@dataclass(frozen=True, order=True)
class RecordVersion:
    """A release and the number of our build of it: 1 is written without a suffix, then `-r2`, `-r3`."""

    release: str
    revision: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `2026.03.03-0027-rolling` or `2026.03.03-0027-rolling-r2`.

        Raises:
            BadVersion: not a VyOS release, or `-r0`, `-r1` (the first build carries no suffix).
        """
        match = _REVISION.fullmatch(text)
        release, revision = (match["release"], match["revision"]) if match else (text, None)
        if not RELEASE_PATTERN.fullmatch(release) or not text.isascii():
            raise BadVersion(
                f"{text!r} is not a VyOS release such as 2026.03.03-0027-rolling or 2026.03",
                hint="take the version from the release feed, unchanged, with -r2, -r3 … for a rebuild",
            )
        if revision == "1":
            raise BadVersion(f"{text!r}: the first build carries no suffix", hint=f"use {release}")
        return cls(release, int(revision or 1))

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


def iso_file_name(release: str) -> str:
    """Return the file name under which VyOS publishes the amd64 ISO of a release."""
    return f"vyos-{release}-generic-amd64.iso"
