"""Which ISO a command line names: the newest of VyOS' feed, a URL, or a file."""

from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.urls import Url
from hyops_assets.contract.version import RELEASE_PATTERN
from hyops_assets.settings.feed import FeedSettings
from resources.feed.client import ReleaseFeed


@dataclass(frozen=True)
class Source:
    """What goes in: a release, and where its ISO comes from if not from the feed."""

    release: str
    source_iso_url: str = ""


def source_of(iso: str) -> Source:
    """Return the release and the place of a real ISO.

    Raises:
        Refused: its name tells no release, or the feed announces none.
        BadUrl: it is written as a URL and is none.
    """
    if iso == "latest":
        announced = ReleaseFeed(FeedSettings()).poll().feed
        if announced is None or not announced.good:
            raise Refused("VyOS' feed announces no release", hint="name an ISO by path or URL")
        return Source(announced.good[0].version, announced.good[0].url)
    url = Url.parse(iso) if "://" in iso and not iso.startswith("file://") else None
    found = RELEASE_PATTERN.search(url.file_name if url else iso.rsplit("/", 1)[-1])
    if found is None:
        raise Refused(f"{iso!r} names no VyOS release", hint="keep the file name that VyOS gave the ISO")
    return Source(found.group(), iso if "://" in iso else str(Path(iso).expanduser().absolute()))
