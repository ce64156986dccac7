"""The release feed over HTTP: conditional, bounded in size and time, and never mistaking "no answer" for "no news"."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import Url
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.settings.feed import FeedSettings
from resources.answers import Pace, TooManyBytes
from resources.entity_tags import entity_tag
from resources.feed.download import DownloadedIso, fetch_iso, local_path, mirrored_at, sources
from resources.feed.github import LookedUp, look_up
from resources.feed.mirror import Kept, ensure_mirrored
from resources.feed.parse import (
    Feed,
    FeedMalformed,
    Release,
    is_upstreams,
    parse_feed,
    release_at,
    sibling_of,
)
from resources.feed.unknown import ReleaseUnknown, unknown_release
from resources.public_files import opened_file
from resources.public_http import AnonymousClient, anonymous_client, opened
from resources.time_budget import TimeBudget

MAX_FEED_BYTES = 1 << 20
"""The real one has about 200 bytes per release."""


class FeedUnavailable(TransientError):
    """None of the feed's URLs gave a feed. What VyOS released is unknown; that is not "nothing"."""


@dataclass(frozen=True)
class Polled:
    """One reading of the feed.

    Attributes:
        status: `unchanged` where the server says so (304); then there is no feed in it.
        feed: what is announced.
        etag: to be given to the next poll together with `url`; None where the server has none.
        url: the one that answered.
    """

    status: Literal["unchanged", "changed"]
    feed: Feed | None
    etag: str | None
    url: str


class ReleaseFeed:
    """Reads the feed that the settings name, and fetches what it announces.

    Args:
        settings: `feed` in `pipeline.yml`.
        timeout_seconds: for all of one URL's answer, and of a look at GitHub; less where a budget is given.
    """

    def __init__(self, settings: FeedSettings, *, timeout_seconds: float = 8.0) -> None:
        self.settings = settings
        self._timeout_seconds = timeout_seconds

    def poll(self, etag: str | None = None, url: str | None = None, *, budget: TimeBudget | None = None) -> Polled:
        """Read the feed from the first of its URLs that gives one.

        Args:
            etag: of an earlier reading, to be answered `unchanged`.
            url: where that came from; without it, the first URL of the settings. Others are asked unconditionally,
                for a validator means nothing elsewhere (RFC 9110 §8.8).
            budget: of the tick that asks; the URLs share it, so that the last one has its time as well.

        Raises:
            FeedUnavailable: every URL failed: absent, unreachable, too large, too slow, or no feed. Says each reason.
        """
        failures: list[str] = []
        with anonymous_client() as client:
            for asked, candidate in enumerate(self.settings.urls):
                known = entity_tag(etag) if candidate == (url or self.settings.urls[0]) else None
                try:
                    seconds = self._seconds(budget, among=len(self.settings.urls) - asked)
                    return self._read(client, candidate, known, Pace.within(seconds))
                except HyopsError as error:
                    failures.append(error.message)
        raise FeedUnavailable(
            f"no release feed could be read: {'; '.join(failures) or 'no URL is configured'}",
            hint="check feed.urls in config/pipeline.yml and the network; VyOS renamed the feed's branch before",
        )

    def find(self, version: str, *, source_iso_url: str = "") -> Release:
        """Return a release by its version, announced or not.

        A place that the user names is taken as it is; upstream's own place of the release only says where upstream
        has it, and our mirror is asked before. Otherwise the feed's own entry; then, for a version that the feed no
        longer names, the place beside its newest entry; then the mirror, also where the feed is down.

        Args:
            version: of the release.
            source_iso_url: a path, a file URL or an https URL of the ISO; empty for none.

        Raises:
            BadVersion: VyOS publishes no such version.
            ReleaseUnknown: nothing leads to it, or the feed's entry for it was refused.
            FeedUnavailable: the feed is down and there is no mirror.
        """
        if source_iso_url:
            named = not is_upstreams(version, source_iso_url, self.settings.hosts)
            return release_at(version, source_iso_url, given=named)
        release_at(version, "")
        mirror = self.settings.mirror
        mirrored = release_at(version, mirrored_at(mirror, version)) if mirror else None
        try:
            feed = self.poll().feed or Feed()
        except FeedUnavailable:
            if mirrored is None:
                raise
            return mirrored
        found = _look_up(feed, version) or mirrored
        if found is None:
            raise unknown_release(version, [release.version for release in feed.good])
        return found

    def announced(self) -> list[str]:
        """Return the releases that the feed announces, newest first; none where it does not answer."""
        try:
            feed = self.poll().feed
        except FeedUnavailable:
            return []
        return [release.version for release in feed.good] if feed else []

    def places(self, release: Release) -> list[str]:
        """Return where a release's ISO is asked for, in order: the mirror first, unless a user named a place."""
        return [source.iso for source in sources(release, self.settings)]

    def fetch_iso(self, release: Release, destination: Path, *, progress: Progress = silent) -> DownloadedIso:
        """Fetch a release's ISO and signature into a directory; see `resources.feed.download.fetch_iso`."""
        return fetch_iso(release, self.settings, destination, progress=progress)

    def ensure_mirrored(self, release: Release, iso: Path, minisig: str) -> Kept:
        """Have a verified ISO in our mirror; see `resources.feed.mirror.ensure_mirrored`."""
        return ensure_mirrored(release, iso, minisig, self.settings)

    def look_up(self, release: Release, *, budget: TimeBudget | None = None, among: int = 1) -> LookedUp:
        """Ask GitHub what it knows of a release that it hosts; see `resources.feed.github.look_up`.

        Args:
            release: as it was announced.
            budget: of the tick that asks.
            among: how many releases share what is left of it.
        """
        return look_up(release, self.settings.github_api, timeout_seconds=self._seconds(budget, among=among))

    def _seconds(self, budget: TimeBudget | None, *, among: int) -> float:
        """Return how long the next exchange may take."""
        return self._timeout_seconds if budget is None else min(self._timeout_seconds, budget.share(among))

    def _read(self, client: AnonymousClient, url: str, etag: str | None, pace: Pace) -> Polled:
        if path := local_path(url):
            document = _file(path)
            found = f'"{sha256_of_bytes(document)}"'
            if found == etag:
                return Polled("unchanged", None, etag, url)
            return Polled("changed", parse_feed(document, hosts=self.settings.hosts), found, url)
        conditional = {"If-None-Match": etag} if etag else {}
        # A feed is where it is: no host of ISOs has to be able to stand in for it.
        hosts = {host for known in self.settings.urls if not local_path(known) for host in _parsed(known).own}
        ok = (200, 304) if etag else (200,)
        with opened(client, url, hosts=hosts, headers=conditional, ok=ok, pace=pace) as answer:
            if answer.status == 304:
                return Polled("unchanged", None, etag, url)
            try:
                document = answer.read(MAX_FEED_BYTES)
            except TooManyBytes as error:
                raise _too_large(answer.url.shown) from error
        return Polled("changed", parse_feed(document, hosts=self.settings.hosts), answer.etag, url)


def _parsed(url: str) -> Url:
    return Url.parse(url, schemes=("https", "http"))


def _file(path: Path) -> bytes:
    """Return a feed that lies on this host, as a mirror has one."""
    try:
        with opened_file(path) as file:
            document = file.read(MAX_FEED_BYTES + 1)
    except OSError as error:
        raise FeedUnavailable(f"{path}: {error.strerror}", hint="check feed.urls in config/pipeline.yml") from error
    if len(document) > MAX_FEED_BYTES:
        raise _too_large(str(path))
    return document


def _too_large(where: str) -> FeedMalformed:
    return FeedMalformed(f"{where} is larger than {MAX_FEED_BYTES} bytes", hint="check the feed's URL")


def _look_up(feed: Feed, version: str) -> Release | None:
    for release in feed.good:
        if release.version == version:
            return release
    for entry in feed.refused:
        if entry.version == ascii(version):
            raise ReleaseUnknown(
                f"the feed's entry for {version} was refused: {entry.reason}",
                hint="if you trust an ISO of this release, name it: source_iso_url",
            )
    wanted = release_at(version, "")
    known = next((release for release in feed.good if release.line == wanted.line), None)
    return sibling_of(known, version) if known else None
