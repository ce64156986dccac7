"""What stands where a release's ISO is to be taken from, before anything is fetched: its size and its signature.

What belongs here: two small questions to each place. Taking it in, and whether the signature holds, are intake's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.urls import Url
from hyops_assets.contract.version import iso_file_name
from hyops_assets.settings.feed import FeedSettings
from resources.answers import Pace, Untrusted
from resources.feed.download import IsoUnreachable, Source, sources
from resources.feed.parse import Release
from resources.feed.signature_files import local_signature, readable, remote_signature
from resources.feed.unknown import ReleaseUnknown, unknown_release
from resources.public_http import AnonymousClient, anonymous_client, opened


@dataclass(frozen=True)
class StandingIso:
    """An ISO where it stands, unverified.

    Attributes:
        file_name: VyOS' own.
        place: the URL or path of it.
        size_bytes: None where the server does not say.
        minisig: text of the signature beside it.
    """

    file_name: str
    place: str
    size_bytes: int | None
    minisig: str


def look_for_iso(
    release: Release,
    settings: FeedSettings,
    *,
    announced: Callable[[], Sequence[str]] = tuple,
    timeout_seconds: float = 8.0,
) -> StandingIso:
    """Find the first place that has a release's ISO and its signature; nothing of the ISO is read.

    Args:
        release: from `ReleaseFeed.find`.
        settings: mirror and allowed hosts.
        announced: reads which releases the feed has, newest first; asked where this one is nowhere.
        timeout_seconds: for each of the two questions to a place.

    Raises:
        ReleaseUnknown: no place has both; says what each one answered, and which releases the feed has.
        IsoUnreachable: a place could not be asked, so that nothing is known.
    """
    failures: list[HyopsError] = []
    for source in sources(release, settings):
        try:
            return (
                _local(release, Path(source.iso))
                if source.hosts is None
                else _remote(release, source, timeout_seconds)
            )
        except HyopsError as error:
            failures.append(error)
    asked = [error.message for error in failures]
    message = f"no ISO of {release.version}: {'; '.join(asked)}"
    for error in failures:
        if isinstance(error, Untrusted):
            raise IsoUnreachable(message, hint=error.hint)
    if any(isinstance(error, TransientError) for error in failures):
        raise IsoUnreachable(message, hint="try again later")
    if release.given:
        raise ReleaseUnknown(message, hint="correct source_iso_url, or leave it out: the feed is asked then")
    raise unknown_release(release.version, announced(), asked=asked)


def _local(release: Release, iso: Path) -> StandingIso:
    minisig = local_signature(iso)
    with readable(iso):
        return StandingIso(iso_file_name(release.version), str(iso), iso.stat().st_size, minisig)


def _remote(release: Release, source: Source, timeout_seconds: float) -> StandingIso:
    iso = Url.parse(source.iso)
    with anonymous_client(Pace.within(timeout_seconds)) as client:
        minisig = remote_signature(client, iso, source.hosts)
        return StandingIso(iso_file_name(release.version), source.iso, _size(client, iso, source), minisig)


def _size(client: AnonymousClient, iso: Url, source: Source) -> int | None:
    # A mirror may know GET only (405), which says nothing against the ISO.
    with opened(client, iso, hosts=source.hosts, method="HEAD", ok=(200, 405, 501)) as answer:
        return answer.size_bytes if answer.status == 200 else None
