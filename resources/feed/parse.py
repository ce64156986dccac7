"""Reading `version.json`: pure, and unimpressed by what a feed may contain.

The feed is an array of `{url, version, timestamp}`, newest first (AGENTS.md of vyos/vyos-nightly-build). Its history
holds empty versions, test tags, URLs of the wrong name and entries without a time: each entry is judged on its own,
and a bad one is kept with the reason it was refused for.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.urls import BadUrl, Url
from hyops_assets.contract.version import (
    BadVersion,
    RecordVersion,
    ReleaseLine,
    iso_file_name,
    release_line,
    release_time,
    require_release,
)

MAX_ENTRIES = 1000
Hosts = Mapping[ReleaseLine, Collection[str]]
"""Host names, or `host:port`, that an ISO may come from: each line of releases has its own."""

GITHUB = "github.com"
_HTTPS_PORT = 443
REPOSITORIES = ("vyos/vyos-nightly-build", "vyos/vyos-rolling-nightly-builds")
"""Where VyOS keeps its rolling releases on GitHub: today's name, and the one until October 2024, still redirected.
Anyone may have a repository there; only these two are VyOS'."""

NEAR = timedelta(days=1)
"""How far the feed's time of a rolling release may be from the minute in its name: a build takes hours, not days."""
_PATH = re.compile(r"(?:/[a-zA-Z0-9._~+-]+)+", re.ASCII)


class FeedMalformed(HyopsError):
    """The document is no feed at all. That is not the same as a feed without news."""


def require_place(text: str) -> str:
    """Return where an ISO is, unchanged: a path, a file URL, or a URL.

    Raises:
        BadUrl: it is written as a URL and is none.
    """
    if "://" in text and not text.startswith("file://"):
        Url.parse(text, schemes=("https", "http"))
    return text


def _kept_place(text: str) -> str:
    try:
        return require_place(text)
    except BadUrl as error:
        raise ValueError(error.message) from error


ReleaseName = Annotated[str, AfterValidator(require_release)]


class Release(Frozen):
    """A VyOS release and where its ISO is.

    Attributes:
        version: as VyOS writes it.
        url: of the ISO.
        minisig_url: of its detached signature.
        timestamp: when it was built; None where the feed does not say or does not know the release.
        line: rolling (nightly) or stream (quarterly).
        given: whether a user named a place of his own, which may then be a path; nothing else is tried.
    """

    version: ReleaseName
    url: Annotated[str, AfterValidator(_kept_place)]
    minisig_url: str
    timestamp: AwareDatetime | None = None
    line: ReleaseLine
    given: bool = False


class RefusedEntry(Frozen):
    """An entry that is not used. `version` is printable and cut short, whatever the feed held."""

    position: int
    version: str
    reason: str


class Feed(Frozen):
    """What a feed announces, newest first, and what of it was refused."""

    good: tuple[Release, ...] = ()
    refused: tuple[RefusedEntry, ...] = ()

    @property
    def newest(self) -> Release | None:
        """The newest good release."""
        return self.good[0] if self.good else None


def parse_feed(document: bytes, *, hosts: Hosts) -> Feed:
    """Sort the entries of a feed into good and refused. What an earlier reading said is not looked at: see `watch`.

    Args:
        document: `version.json`, as it was received.
        hosts: that an ISO may come from, by line of releases.

    Raises:
        FeedMalformed: not a JSON array in UTF-8, or one of more than 1000 entries.
    """
    good: dict[int, Release] = {}
    refused: list[RefusedEntry] = []
    for position, entry in enumerate(_entries(document)):
        release, faults = _judge(entry, hosts, list(good.values()))
        if release is None or faults:
            version = entry.get("version") if isinstance(entry, dict) else entry
            refused.append(RefusedEntry(position=position, version=_printable(version), reason="; ".join(faults)))
        else:
            good[position] = release
    return Feed(good=tuple(good.values()), refused=tuple(refused))


def release_at(version: str, url: str, *, timestamp: datetime | None = None, given: bool = False) -> Release:
    """Return the release of a version whose ISO is at a URL or path; its signature lies beside it.

    Raises:
        BadVersion: VyOS publishes no such version.
        BadUrl: the place is written as a URL and is none.
    """
    require_place(url)
    parsed = RecordVersion.parse(version)
    if version != parsed.release:
        raise BadVersion(f"{version!r} is no release of VyOS", hint=f"name the release: {parsed.release}")
    line = release_line(version)
    return Release(version=version, url=url, minisig_url=f"{url}.minisig", timestamp=timestamp, line=line, given=given)


def is_upstreams(version: str, url: str, hosts: Hosts) -> bool:
    """Tell whether a feed could announce this URL for a release: an allowed host, VyOS' name, under its own tag."""
    return not _url_faults(url, version, hosts)


def sibling_of(known: Release, version: str) -> Release:
    """Return a release of the same line that the feed no longer names: its URL differs in the version only.

    GitHub keeps thirty nightly builds, the feed names one.
    """
    return release_at(version, known.url.replace(known.version, version))


def _entries(document: bytes) -> list[Any]:
    try:
        entries = parsed_json(document.decode("utf-8-sig"))
    except ValueError as error:
        start = _printable(document[:40])
        raise FeedMalformed(f"not JSON: {start}", hint="check the feed's URL") from error
    if not isinstance(entries, list):
        raise FeedMalformed(f"a JSON {type(entries).__name__}, not an array", hint="check the feed's URL")
    if len(entries) > MAX_ENTRIES:
        raise FeedMalformed(f"{len(entries)} entries, more than {MAX_ENTRIES}", hint="check the feed's URL")
    return entries


def _judge(entry: object, hosts: Hosts, before: list[Release]) -> tuple[Release | None, list[str]]:
    if not isinstance(entry, dict):
        return None, ["it is no object"]
    version, url, stamp = entry.get("version"), entry.get("url"), entry.get("timestamp")
    if not isinstance(version, str) or not isinstance(url, str):
        return None, ["version and url are not both text"]
    timestamp = _timestamp(stamp)
    faults = [*_version_faults(version, before), *_url_faults(url, version, hosts)]
    if stamp is not None and timestamp is None:
        faults.append(f"timestamp {_printable(stamp)} is not a time with a zone, such as 2026-03-03T00:27:00Z")
    built = release_time(version)
    if timestamp and built and abs(timestamp - built) > NEAR:
        faults.append(f"timestamp {timestamp.isoformat()} is more than a day from the time in the version")
    newer = next((release.timestamp for release in reversed(before) if release.timestamp), None)
    if timestamp and newer and timestamp > newer:
        faults.append(f"timestamp {timestamp.isoformat()} is later than that of the entry before it")
    if faults:
        return None, faults
    return release_at(version, url, timestamp=timestamp), []


def _version_faults(version: str, before: list[Release]) -> list[str]:
    if not version:
        return ["the version is empty"]
    try:
        release_at(version, "")
    except BadVersion:
        return [f"{_printable(version)} is not a version that VyOS publishes"]
    return ["the version stands in the feed twice"] if any(known.version == version for known in before) else []


def _url_faults(url: str, version: str, hosts: Hosts) -> list[str]:
    try:
        parsed = Url.parse(url)
    except BadUrl as error:
        return [f"url {_printable(url)} is not a plain https URL: {error.message}"]
    if parsed.query is not None or not _PATH.fullmatch(parsed.path) or str(parsed) != url:
        return [f"url {_printable(url)} is not a plain https URL"]
    faults: list[str] = []
    line = release_line(version)
    if not parsed.is_at(hosts.get(line, ())):
        faults.append(f"host {parsed.authority} is not among the allowed ones of {line} releases")
    repositories = tuple(f"/{name}/releases/download/" for name in REPOSITORIES)
    if parsed.host == GITHUB and parsed.port != _HTTPS_PORT:
        faults.append(f"port {parsed.port} is not GitHub's")
    if parsed.host == GITHUB and not parsed.path.startswith(repositories):
        faults.append(f"{_printable(parsed.path)} is in no repository of VyOS on GitHub")
    *_, tag, name = ("", *parsed.path.split("/"))
    if name != iso_file_name(version):
        faults.append(f"the URL ends in {_printable(name)}, not in {_printable(iso_file_name(version))}")
    # August 2024: URLs of the right file under a tag of the wrong name, none of which existed.
    elif tag != version:
        faults.append(f"the URL's tag is {_printable(tag)}, not the version")
    return faults


def _timestamp(value: object) -> datetime | None:
    # Python's own parser lets a null byte stand behind a Z.
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else None


def _printable(value: object) -> str:
    """Return ASCII of at most 80 characters: reasons end up in logs and on screens."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:79]}~"
