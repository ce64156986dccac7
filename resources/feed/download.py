"""Fetching an ISO and its signature: mirror first, resumable, bounded, from allowed hosts only.

What arrives here is not trusted: the caller verifies the signature, and calls `DownloadedIso.discard` where it
fails, so that the next attempt starts from nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from filelock import FileLock
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from hyops_assets.contract.errors import HyopsError, LeadsNowhere, Refused, TransientError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import BadUrl, Url, local_file
from hyops_assets.contract.version import iso_file_name
from hyops_assets.image.digests import CHUNK_BYTES
from hyops_assets.image.space import NoSpace
from hyops_assets.settings.feed import FeedSettings
from resources.answers import Answer, Pace, TooManyBytes, TooSlow, Unreachable
from resources.entity_tags import strong_tag
from resources.feed.parse import Release
from resources.feed.partial_file import DestinationFailed, PartialFile, file_system_errors
from resources.feed.signature_files import local_signature, readable, remote_signature
from resources.public_http import AnonymousClient, NotAllowed, anonymous_client, opened

ATTEMPTS = 5
"""How often one source is asked; each attempt goes on where the one before it broke off."""
_OURS = (NoSpace, DestinationFailed)
"""What is wrong here and not at a source: no other source would mend it. Everything else leads to the next one."""


class IsoUnavailable(LeadsNowhere):
    """No source gave the ISO and its signature."""


class IsoUnreachable(TransientError):
    """A source has the ISO, or may have it, but could not be read to the end. What arrived is kept for a rerun."""


@dataclass(frozen=True)
class DownloadedIso:
    """An ISO and its signature as they arrived, unverified.

    Attributes:
        iso: the file, under VyOS' name for it.
        minisig: text of the signature file.
        source_url: where it came from, as configured or announced, without redirects.
        bytes_received: of ISO and signature, by this call; little where an earlier run had fetched the rest.
        passed_over: sources that were asked before it, and why they did not serve.
    """

    iso: Path
    minisig: str
    source_url: str
    bytes_received: int
    passed_over: tuple[str, ...] = ()

    def discard(self) -> None:
        """Remove the ISO and what would let another call adopt it."""
        PartialFile(self.iso).remove()


def fetch_iso(
    release: Release,
    settings: FeedSettings,
    destination: Path,
    *,
    progress: Progress = silent,
    wait_seconds: float = 1.0,
    pace: Pace | None = None,
) -> DownloadedIso:
    """Fetch the ISO of a release and its signature: from our mirror, else from where the release says.

    A place that the user gave is the only one that is asked, and may be a path or a file URL. A transfer that broke
    off, in this run or in a killed one, goes on where it stopped if the source still has the same bytes.

    Args:
        release: from `ReleaseFeed.find`.
        settings: mirror, allowed hosts, size limit.
        destination: directory for the ISO; partial files stay in it for a rerun.
        progress: called with the ISO's bytes.
        wait_seconds: pause before a broken transfer is taken up again; doubled each time, at most 30.
        pace: how slow a source may be; what the settings say where None.

    Raises:
        NoSpace: the destination is full; what arrived is kept.
        DestinationFailed: the destination may not be written.
        NotAllowed: the only source, or a redirect of it, is at a host that is not allowed, or not over https.
        TooLarge: the only source's ISO exceeds `max_iso_bytes`.
        IsoUnavailable: no source has both files, whatever is wrong with each. Says what each one answered.
        IsoUnreachable: at least one source failed in a way that a later attempt may survive.
    """
    pace = pace or Pace(bytes_per_second=settings.slowest_bytes_per_second)
    with file_system_errors(destination):
        destination.mkdir(parents=True, exist_ok=True)
    partial = PartialFile(destination / iso_file_name(release.version))
    failures: list[HyopsError] = []
    reasons: list[str] = []
    # Two runs of one release share the partial file: the second waits, then finds the first one's ISO.
    with FileLock(destination / f".{partial.target.name}.lock"):
        for source in sources(release, settings):
            transfer = _Transfer(partial, settings.max_iso_bytes, progress, wait_seconds, pace)
            try:
                minisig = transfer.fetch(source)
            except _OURS:
                raise
            except HyopsError as error:
                failures.append(error)
                reasons.append(error.message if source.iso in error.message else f"{source.iso}: {error.message}")
                continue
            return DownloadedIso(partial.target, minisig, source.iso, transfer.bytes_received, tuple(reasons))
    if len(failures) == 1 and isinstance(failures[0], Refused):
        raise failures[0]
    message = f"no source gave the ISO of {release.version} and its signature: {'; '.join(reasons)}"
    if any(isinstance(failure, TransientError) for failure in failures):
        raise IsoUnreachable(message, hint="try again later; what arrived is kept")
    refusals = [failure.hint for failure in failures if isinstance(failure, Refused)]
    hints = ["upstream keeps thirty builds: set feed.mirror, or name an ISO with source_iso_url", *refusals]
    raise IsoUnavailable(message, hint="; ".join(dict.fromkeys(hints)))


@dataclass(frozen=True)
class Source:
    """A place of an ISO, with the signature beside it. `hosts` is None where it is a local path."""

    iso: str
    hosts: frozenset[str] | None

    @property
    def minisig(self) -> str:
        """Where its signature is."""
        return f"{self.iso}.minisig"


def sources(release: Release, settings: FeedSettings) -> list[Source]:
    """Return where an ISO is asked for, in order: our mirror, then where the release says."""
    hosts = frozenset(settings.hosts[release.line])
    if release.given:
        return [_configured(release.url, hosts)]
    found: list[Source] = []
    if settings.mirror:
        found.append(_configured(mirrored_at(settings.mirror, release.version), hosts, ours=True))
    if release.url not in [source.iso for source in found]:
        found.append(Source(release.url, hosts))
    return found


def mirrored_at(mirror: str, version: str) -> str:
    """Return where a mirror has the ISO of a release; its signature lies beside it."""
    return f"{mirror.rstrip('/')}/{version}/{iso_file_name(version)}"


def local_path(place: str) -> Path | None:
    """Return the path that a user wrote, as a path or as a file URL; None where the place is elsewhere."""
    if (path := local_file(place)) is not None:
        return path
    return None if "://" in place else Path(place).expanduser().absolute()


def _configured(place: str, hosts: frozenset[str], *, ours: bool = False) -> Source:
    """Return the source of a place that a user wrote: a URL, a file URL or a path. `ours` allows its own host."""
    path = local_path(place)
    if path is not None:
        return Source(str(path), None)
    return Source(place, hosts | _parsed(place).own if ours else hosts)


def _parsed(place: str) -> Url:
    try:
        return Url.parse(place)
    except BadUrl as error:
        raise NotAllowed(error.message, hint=error.hint) from error


def _may_pass(error: BaseException) -> bool:
    """Tell whether the same source is asked again: one that is too slow would be so again."""
    return isinstance(error, Unreachable) and not isinstance(error, TooSlow)


class _Transfer:
    """One source's ISO on its way into the partial file, however often the connection breaks."""

    def __init__(self, partial: PartialFile, limit: int, progress: Progress, wait_seconds: float, pace: Pace) -> None:
        self.bytes_received = 0
        self._partial = partial
        self._limit = limit
        self._progress = progress
        self._wait_seconds = wait_seconds
        self._pace = pace

    def fetch(self, source: Source) -> str:
        """Bring the ISO to its final name; return the text of its signature, which is fetched first."""
        if source.hosts is None:
            return self._copy(Path(source.iso))
        iso = _parsed(source.iso)
        attempts = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=self._wait_seconds, max=30),
            reraise=True,
        )
        with anonymous_client(self._pace) as client:
            minisig = attempts(remote_signature, client, iso, source.hosts)
            self.bytes_received += len(minisig.encode())
            attempts.copy()(self._receive, client, iso, source.hosts)
        return minisig

    def _copy(self, iso: Path) -> str:
        minisig = local_signature(iso)
        self._partial.begin(iso.as_uri(), None)
        with readable(iso):
            file = iso.open("rb", buffering=0)
        with file:
            chunks = self._counted(_chunks(file, iso))
            self._partial.append(chunks, total=iso.stat().st_size, limit=self._limit, progress=self._progress)
        self._partial.commit()
        return minisig

    def _receive(self, client: AnonymousClient, url: Url, hosts: frozenset[str]) -> None:
        place = str(url)
        conditions = self._partial.conditions(place)
        expected = {"If-None-Match": (200, 304), "Range": (200, 206, 416)}
        ok = next((statuses for header, statuses in expected.items() if header in conditions), (200,))
        with opened(client, url, hosts=hosts, headers=conditions, ok=ok) as answer:
            if answer.status == 304:
                size = self._partial.target.stat().st_size
                self._progress("download", size, size)
                return
            if answer.status == 200:
                self._partial.begin(place, answer.etag)
            elif not self._continues(answer):
                self._partial.remove()
                raise Unreachable(f"{url.shown} changed during the transfer", hint="run it again")
            if answer.status != 416:
                self._append(answer)
            self._partial.commit()

    def _continues(self, answer: Answer) -> bool:
        """Tell whether a 206 brings exactly the missing rest, or a 416 says that nothing is missing.

        Azure's blob store, behind GitHub's downloads, may answer a range without regard to If-Range: so compare.
        """
        here = self._partial.size_bytes
        origin = self._partial.origin
        unit, _, rest = answer.header("Content-Range").partition(" ")
        if unit != "bytes" or (answer.status == 416 and rest != f"*/{here}"):
            return False
        if answer.status == 416:
            return True
        return rest.startswith(f"{here}-") and origin is not None and strong_tag(answer.etag) == origin.etag

    def _append(self, answer: Answer) -> None:
        here = self._partial.size_bytes
        total = None if answer.size_bytes is None else here + answer.size_bytes
        chunks = self._counted(answer.pieces(max(0, self._limit - here)))
        try:
            self._partial.append(chunks, total=total, limit=self._limit, progress=self._progress)
        except TooManyBytes as error:
            raise self._partial.refused(self._limit + 1, self._limit) from error

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.bytes_received += len(chunk)
            yield chunk


def _chunks(file: RawIOBase, path: Path) -> Iterator[bytes]:
    while True:
        with readable(path):
            chunk = file.read(CHUNK_BYTES)
        if not chunk:
            return
        yield chunk
