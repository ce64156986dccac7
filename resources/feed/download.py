"""Fetching an ISO and its signature: mirror first, resumable, bounded, from allowed hosts only.

What arrives here is not trusted: whoever called verifies the signature, and calls `DownloadedIso.discard` where it
fails, so that the next attempt starts from nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
from filelock import FileLock
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.feed_settings import FeedSettings
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.version import iso_file_name
from hyops_assets.image.digests import CHUNK_BYTES
from resources.feed.parse import Release
from resources.feed.partial import PartialFile, TooLarge, file_system_errors
from resources.public_http import (
    NotFound,
    UnexpectedAnswer,
    Unreachable,
    Untrusted,
    anonymous_client,
    host_of,
    opened,
)

MAX_SIGNATURE_BYTES = 16 << 10
ATTEMPTS = 5
"""How often one source is asked; each attempt goes on where the one before it broke off."""


class IsoUnavailable(HyopsError):
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
) -> DownloadedIso:
    """Fetch the ISO of a release and its signature: from our mirror, else from where the release says.

    A place that the user gave is the only one that is asked, and may be a path or a file URL. A transfer that broke
    off, in this run or in a killed one, goes on where it stopped if the source still has the same bytes.

    Args:
        release: from `ReleaseFeed.find`.
        settings: mirror, allowed hosts, size limit.
        destination: directory for the ISO; partial files stay in it for a rerun.
        progress: told the ISO's bytes.
        wait_seconds: pause before a broken transfer is taken up again; doubled each time, at most 30.

    Raises:
        NotAllowed: a URL or redirect leads to a host that is not allowed, or not over https.
        TooLarge: the ISO exceeds `max_iso_bytes`.
        NoSpace: the destination is full; what arrived is kept.
        DestinationFailed: the destination may not be written.
        IsoUnavailable: no source has both files. Says what each one answered.
        IsoUnreachable: at least one source failed in a way that a later attempt may survive.
    """
    with file_system_errors(destination):
        destination.mkdir(parents=True, exist_ok=True)
    partial = PartialFile(destination / iso_file_name(release.version))
    failures: list[HyopsError] = []
    # Two runs of one release share the partial file: the second waits, then finds the first one's ISO.
    with FileLock(destination / f".{partial.target.name}.lock"):
        for source in sources(release, settings):
            transfer = _Transfer(partial, settings.max_iso_bytes, progress, wait_seconds)
            try:
                minisig = transfer.fetch(source)
            except (NotFound, Untrusted, UnexpectedAnswer, Unreachable) as error:
                failures.append(error)
                continue
            passed_over = tuple(failure.message for failure in failures)
            return DownloadedIso(partial.target, minisig, source.iso, transfer.bytes_received, passed_over)
    why = "; ".join(failure.message for failure in failures)
    message = f"no source gave the ISO of {release.version} and its signature: {why}"
    if any(isinstance(failure, TransientError) for failure in failures):
        raise IsoUnreachable(message, hint="try again later; what arrived is kept")
    raise IsoUnavailable(
        message, hint="upstream keeps thirty builds: set feed.mirror, or name an ISO with source_iso_url"
    )


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
        place = mirrored_at(settings.mirror, release.version)
        found.append(_configured(place, hosts | {host_of(place)}))
    if release.url not in [source.iso for source in found]:
        found.append(Source(release.url, hosts))
    return found


def mirrored_at(mirror: str, version: str) -> str:
    """Return where a mirror has the ISO of a release; its signature lies beside it."""
    return f"{mirror.rstrip('/')}/{version}/{iso_file_name(version)}"


def local_path(place: str) -> Path | None:
    """Return the path that a user wrote, as a path or as a file URL; None where the place is elsewhere."""
    if place.startswith("file://"):
        return Path(unquote(urlsplit(place).path))
    return None if "://" in place else Path(place).expanduser().absolute()


def _configured(place: str, hosts: frozenset[str]) -> Source:
    """Return the source of a place that a user wrote: a URL, a file URL or a path."""
    path = local_path(place)
    return Source(place, hosts) if path is None else Source(str(path), None)


class _Transfer:
    """One source's ISO on its way into the partial file, however often the connection breaks."""

    def __init__(self, partial: PartialFile, limit: int, progress: Progress, wait_seconds: float) -> None:
        self.bytes_received = 0
        self._partial = partial
        self._limit = limit
        self._progress = progress
        self._wait_seconds = wait_seconds

    def fetch(self, source: Source) -> str:
        """Bring the ISO to its final name; return the text of its signature, which is fetched first."""
        if source.hosts is None:
            return self._copy(Path(source.iso))
        attempts = Retrying(
            retry=retry_if_exception_type(Unreachable),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=self._wait_seconds, max=30),
            reraise=True,
        )
        with anonymous_client() as client:
            minisig = attempts(self._signature, client, source)
            attempts.copy()(self._receive, client, source)
        return minisig

    def _copy(self, iso: Path) -> str:
        signature = iso.with_name(f"{iso.name}.minisig")
        for path in (iso, signature):
            if not path.is_file():
                raise NotFound(f"{path} is no file", hint="put the ISO and its .minisig side by side")
        self._partial.begin(iso.as_uri(), None)
        with iso.open("rb", buffering=0) as file:
            chunks = self._counted(iter(lambda: file.read(CHUNK_BYTES), b""))
            self._partial.append(chunks, total=iso.stat().st_size, limit=self._limit, progress=self._progress)
        self._partial.commit()
        return _text(signature.read_bytes()[: MAX_SIGNATURE_BYTES + 1], str(signature))

    def _signature(self, client: httpx.Client, source: Source) -> str:
        content = b""
        with opened(client, source.minisig, hosts=source.hosts or ()) as answer:
            for chunk in self._counted(answer.iter_raw()):
                content += chunk
                if len(content) > MAX_SIGNATURE_BYTES:
                    break
        return _text(content, source.minisig)

    def _receive(self, client: httpx.Client, source: Source) -> None:
        conditions = self._partial.conditions(source.iso)
        expected = {"If-None-Match": (200, 304), "Range": (200, 206, 416)}
        ok = next((statuses for header, statuses in expected.items() if header in conditions), (200,))
        with opened(client, source.iso, hosts=source.hosts or (), headers=conditions, ok=ok) as answer:
            if answer.status_code == 304:
                size = self._partial.target.stat().st_size
                self._progress("download", size, size)
                return
            if answer.status_code == 200:
                self._partial.begin(source.iso, answer.headers.get("ETag"))
            elif not self._continues(answer):
                self._partial.remove()
                raise Unreachable(f"{source.iso} changed during the transfer", hint="run it again")
            if answer.status_code != 416:
                self._append(answer)
            self._partial.commit()

    def _continues(self, answer: httpx.Response) -> bool:
        """Tell whether a 206 brings exactly the missing rest, or a 416 says that nothing is missing.

        Azure's blob store, behind GitHub's downloads, may answer a range without regard to If-Range: so compare.
        """
        here = self._partial.size_bytes
        origin = self._partial.origin
        unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
        if unit != "bytes" or (answer.status_code == 416 and rest != f"*/{here}"):
            return False
        if answer.status_code == 416:
            return True
        return rest.startswith(f"{here}-") and origin is not None and answer.headers.get("ETag") == origin.etag

    def _append(self, answer: httpx.Response) -> None:
        length = answer.headers.get("Content-Length", "")
        total = self._partial.size_bytes + int(length) if length.isdecimal() else None
        chunks = self._counted(answer.iter_raw())
        self._partial.append(chunks, total=total, limit=self._limit, progress=self._progress)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.bytes_received += len(chunk)
            yield chunk


def _text(content: bytes, where: str) -> str:
    if len(content) > MAX_SIGNATURE_BYTES:
        raise TooLarge(f"{where} has more than {MAX_SIGNATURE_BYTES} bytes", hint="it is no minisign signature")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnexpectedAnswer(f"{where} is not text", hint="it is no minisign signature") from error
