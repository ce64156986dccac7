"""The lab's release host: a `version.json` feed, and the ISO and signature of each release beside it.

Layout of the directory: `version.json`, `<release>/vyos-<release>-generic-amd64.iso` and `….iso.minisig`. URLs in the
file are relative; the server makes them absolute, so that a release can be put there by another process, and by hand.
As on GitHub, downloads lie below the repository's name, and the REST API tells of each release by its tag.
"""

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from filelock import FileLock

from hyops_assets.contract.version import iso_file_name
from hyops_lab.authority import Authority
from hyops_lab.static import Representation, StaticServer
from hyops_lab.trace import Trace

FEED_NAME = "version.json"
REPOSITORY = "vyos/vyos-nightly-build"
DOWNLOADS = f"{REPOSITORY}/releases/download"
_API = f"repos/{REPOSITORY}/releases/tags"


class ReleaseServer(StaticServer):
    """Announces and serves what was published into a directory."""

    def __init__(self, directory: Path, trace: Trace, authority: Authority, *, port: int = 0) -> None:
        super().__init__("feed", directory, trace, authority, port=port)

    @property
    def feed_url(self) -> str:
        """The URL of `version.json`."""
        return f"{self.url}/{FEED_NAME}"

    def publish(self, release: str, iso: Path, minisig: str, timestamp: datetime) -> None:
        """Announce a release; see the function `publish`."""
        publish(self.directory, release, iso, minisig, timestamp)

    def represent(self, name: str) -> Representation | None:
        """Return the feed with absolute URLs, what the API says of a release, or a file as it is."""
        if name.startswith(f"{_API}/"):
            return self._release(name.removeprefix(f"{_API}/"))
        found = super().represent(name.removeprefix(f"{DOWNLOADS}/"))
        if name != FEED_NAME or found is None:
            return found
        return Representation.of_bytes(_absolute((self.directory / FEED_NAME).read_bytes(), f"{self.url}/"))

    def _release(self, tag: str) -> Representation | None:
        """Return what GitHub's API says of a release: `GET /repos/{owner}/{repo}/releases/tags/{tag}`."""
        place = self.directory / tag
        if "/" in tag or tag.startswith(".") or not place.is_dir():
            return None
        assets = [
            {
                "name": file.name,
                "state": "uploaded",
                "size": file.stat().st_size,
                "digest": f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}",
                "browser_download_url": f"{self.url}/{DOWNLOADS}/{tag}/{file.name}",
            }
            for file in sorted(place.glob("vyos-*"))
        ]
        described = {"tag_name": tag, "draft": False, "prerelease": False, "assets": assets}
        return Representation.of_bytes(json.dumps(described).encode())


def publish(directory: Path, release: str, iso: Path, minisig: str, timestamp: datetime) -> None:
    """Announce a release in the feed of a directory: its files first, the announcement last, each at once.

    Works while a server serves the directory, from any process. A release that is there already is replaced.

    Args:
        directory: of a `ReleaseServer`.
        release: its version.
        iso: its ISO, which is copied.
        minisig: text of its signature file.
        timestamp: when VyOS would say that it was built.
    """
    name = iso_file_name(release)
    place = directory / release
    place.mkdir(parents=True, exist_ok=True)
    partial = place / f".{name}.partial"
    shutil.copyfile(iso, partial)
    partial.replace(place / name)
    _replace(place / f"{name}.minisig", minisig)
    with FileLock(directory / f".{FEED_NAME}.lock"):
        feed = directory / FEED_NAME
        entries: list[dict[str, str]] = json.loads(feed.read_bytes()) if feed.exists() else []
        announced = {
            "url": f"{DOWNLOADS}/{release}/{name}",
            "version": release,
            "timestamp": timestamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        kept = [entry for entry in entries if entry.get("version") != release]
        newest_first = sorted([announced, *kept], key=lambda entry: entry.get("timestamp", ""), reverse=True)
        _replace(feed, json.dumps(newest_first, indent=2) + "\n")


def _absolute(content: bytes, base: str) -> bytes:
    """Make the URLs of a feed absolute; what is not a feed is served as it lies there."""
    try:
        entries: Any = json.loads(content)
    except ValueError:
        return content
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("url"), str):
            entry["url"] = urljoin(base, entry["url"])
    return json.dumps(entries).encode()


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
