"""URLs, parsed once into a value; published names, and the URLs that may stand in a contract.

Rules of the source document: published URLs are versioned, public and immutable; `gs://` is not usable by
Hetzner's rescue system; upstream `latest` never enters the contract.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.hosts import require_port, require_server
from hyops_assets.contract.version import RecordVersion, require_key

PREFIX = "network/vyos"
"""Where records live in an object repository (source document, "Verified steady-state example")."""

_FILE = re.compile(r"(?i:file)://(?P<host>[^/?#]*)(?P<path>/[^?#]*)(?P<rest>.*)", re.DOTALL)
_MUTABLE = re.compile(r"(^|[/._-])(latest|current|head|main|master)([/._-]|$)", re.IGNORECASE)
_SIGNED = re.compile(r"(^|&)(x-goog-signature|x-amz-signature|signature|sig|token|x-goog-credential)=", re.IGNORECASE)
_LONGEST = 4096
"""Characters; signed URLs of object stores have some 1,500."""
_PLAIN = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")
"""What RFC 3986 lets stand in a URL."""
_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?P<rest>#.*)?"
)
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>.*))?")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_OWN_PORT = {"https": 443, "http": 80}
_FREE_PORTS = 1024
"""From here on, ports are not those of a host's other services."""
_LONGEST_NAME = 200
"""Bytes of a file name: file systems take 255, and a temporary name is longer than the file's own."""


class BadUrl(Refused):
    """A URL that is none, or that may not enter a contract."""


@dataclass(frozen=True)
class Url:
    """A URL of http or https as it was checked, to be used as it is: nothing parses its text again.

    Attributes:
        scheme: `https` or `http`.
        host: a DNS name in ASCII and lower case, or an IP address without brackets.
        port: from 1 to 65535; the scheme's own where the text has none.
        path: percent-encoded, starts with `/`; no dot segment, encoded slash or control character in any reading.
        query: percent-encoded, without `?`; None where there is none.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str | None = None

    @classmethod
    def parse(cls, text: str, *, schemes: Collection[str] = ("https",)) -> Self:
        """Parse a URL.

        Raises:
            BadUrl: it is none (RFC 3986), or has another scheme, credentials, a fragment, a host or port that cannot
                be, or a path that two readers could understand differently.
        """
        match = _PARTS.fullmatch(_plain(text))
        if match is None:
            raise _bad("it names no scheme and host")
        scheme = match["scheme"].lower()
        if scheme not in schemes or scheme not in _OWN_PORT:
            raise BadUrl(f"{scheme}://…: the scheme is not {' or '.join(schemes)}", hint="use an https URL")
        if "@" in match["authority"]:
            raise BadUrl("a URL carries credentials", hint="use a URL that anyone may read")
        if match["rest"]:
            raise _bad("it has a fragment")
        host, port = _host_and_port(match["authority"], _OWN_PORT[scheme])
        return cls(scheme, host, port, _path(match["path"] or "/"), _escaped(match["query"]))

    def joined(self, location: str) -> "Url":
        """Return where a redirect leads (RFC 9110 §10.2.2), be it http or https.

        Raises:
            BadUrl: as `parse` does.
        """
        try:
            target = urljoin(str(self), _plain(location).partition("#")[0])
        except ValueError as error:
            raise _bad("it names no scheme and host") from error
        return Url.parse(target, schemes=tuple(_OWN_PORT))

    def beside(self, name: str) -> "Url":
        """Return the URL of a file in the same directory."""
        return Url.parse(
            str(replace(self, path=f"{self.path.rpartition('/')[0]}/{quote(name)}")), schemes=[self.scheme]
        )

    def suffixed(self, suffix: str) -> "Url":
        """Return the URL whose path has a suffix more."""
        return replace(self, path=self.path + quote(suffix))

    def is_at(self, hosts: Collection[str]) -> bool:
        """Tell whether this is at one of some hosts.

        `host:port` stands for that port; a name alone for the scheme's own and for those that other services of a
        host do not have (from 1024 on).
        """
        usual = self.port == _OWN_PORT[self.scheme] or self.port >= _FREE_PORTS
        return f"{self._bracketed}:{self.port}" in hosts or (usual and self.host in hosts)

    @property
    def place(self) -> str:
        """`host:port`, for `is_at`."""
        return f"{self._bracketed}:{self.port}"

    @property
    def own(self) -> frozenset[str]:
        """The hosts that this itself is at, for `is_at`."""
        return frozenset({self.place, self.host})

    @property
    def authority(self) -> str:
        """Host, and the port where it is not the scheme's own."""
        return self._bracketed if self.port == _OWN_PORT[self.scheme] else self.place

    @property
    def target(self) -> str:
        """Path and query, as a request names them."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def file_name(self) -> str:
        """The last component of the path, decoded, for a file of that name; empty where there is none that fits."""
        name = unquote(self.path.rpartition("/")[2])
        return name if len(name.encode()) <= _LONGEST_NAME else ""

    @property
    def shown(self) -> str:
        """This without its query, in which secrets travel."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def _plain(text: str) -> str:
    """Return a text that has only characters of URLs. Parsers drop line ends and tabs in silence."""
    if len(text) > _LONGEST:
        raise _bad(f"it has more than {_LONGEST} characters")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise _bad("it has a space or a control character")
    if not _PLAIN.fullmatch(text):
        raise _bad("it has a character that has to be percent-encoded")
    return text


def _host_and_port(authority: str, own: int) -> tuple[str, int]:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise _bad(f"{authority[:80]!a} is no host")
    try:
        if match["v6"] is not None and ":" not in match["v6"]:
            raise ValueError(f"{authority[:80]!a} is no host")
        host = require_server(match["name"] if match["v6"] is None else match["v6"])
        return host, own if match["port"] is None else require_port(match["port"])
    except ValueError as error:
        raise _bad(str(error)) from error


def _path(path: str) -> str:
    """Return a path that means one thing, however often a server decodes it."""
    _escaped(path)
    read = path
    for _ in range(3):
        if any(segment in {".", ".."} for segment in read.split("/")):
            raise _bad("its path leads upwards or has a dot segment")
        if "\\" in read or any(ord(character) < 0x20 or ord(character) == 0x7F for character in read):
            raise _bad("its path has an encoded backslash or control character")
        decoded = unquote(read)
        if decoded.count("/") != read.count("/"):
            raise _bad("its path has an encoded slash")
        read = decoded
    return path


def _escaped(text: str | None) -> str | None:
    if text is not None and _ESCAPE.search(text):
        raise _bad("it has a percent sign that encodes nothing")
    return text


def _bad(why: str) -> BadUrl:
    return BadUrl(f"a URL is written wrongly: {why}", hint="write a plain https URL, percent-encoded (RFC 3986)")


def published_name(key: str, version: RecordVersion, suffix: str) -> str:
    """Return the object name of a published file.

    `suffix` is `qcow2`, `raw.xz`, `record.json` or `evidence-<run>.json`; the result for the document's example
    is `network/vyos/vyos-1.5-2026.03.03-0027-rolling-r2.qcow2`.
    """
    return f"{PREFIX}/{require_key(key)}-{version}.{suffix}"


def public_url(public_base_url: str, name: str) -> str:
    """Join a repository's public base URL and an object name, percent-encoding the name (RFC 3986)."""
    return f"{public_base_url.rstrip('/')}/{quote(name, safe='/~')}"


def require_contract_url(url: str, version: RecordVersion) -> str:
    """Return a URL that may stand in a contract, unchanged.

    Raises:
        BadUrl: not http(s) or a local directory's file URL, carries credentials, a query or a signature, points
            at something that moves (`latest`, `current`), leads upwards, has a space or a control character, does
            not name the version, or is written otherwise than it is read.
    """
    # Parsers drop line ends and tabs in silence: what was looked at would not be what is written down.
    if any(character.isspace() or not character.isprintable() for character in url):
        raise BadUrl("a URL has a space or a control character", hint="percent-encode it (RFC 3986)")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - parsed when it is asked for
    except ValueError as error:
        raise BadUrl(f"a URL is written wrongly: {error}", hint="publish it under an https URL") from error
    path = unquote(parts.path)
    for broken, why, hint in (
        (parts.scheme == "gs", "gs:// is not usable by Hetzner's rescue system", _storage_url(parts)),
        (
            parts.scheme not in {"https", "http", "file"},
            "the scheme is not https",
            "publish it under an https URL",
        ),
        (parts.scheme != "file" and not parts.hostname, "it names no host", "publish it under an https URL"),
        (bool(parts.username or parts.password), "it carries credentials", "publish it under a public URL"),
        (
            bool(_SIGNED.search(parts.query)),
            "it is a signed URL, which expires",
            "publish it under a public URL",
        ),
        (bool(parts.query or parts.fragment), "it has a query or a fragment", "use the plain object URL"),
        (".." in path.split("/"), "its path leads upwards", "use the plain object URL"),
        (bool(_MUTABLE.search(path)), "it points at something that moves", "use the versioned name"),
        (len(path.rpartition("/")[2].encode()) > _LONGEST_NAME, "its file's name is too long", "use a shorter name"),
        (not _names(path, version), f"its name lacks the version {version}", "use the versioned name"),
    ):
        if broken:
            raise BadUrl(f"{_shown(parts)!r} may not stand in a contract: {why}", hint=hint)
    if parts.scheme != "file" and (read := str(Url.parse(url, schemes=tuple(_OWN_PORT)))) != url:
        raise BadUrl(f"{_shown(parts)!r} may not stand in a contract: it is read as {read}", hint="write it so")
    return url


def local_file(url: str) -> Path | None:
    """Return the path on this host that a file URL names (RFC 8089); None where it is no file URL.

    Read in one place: a reader that dropped the host or the query would open another file than the one checked.

    Raises:
        BadUrl: it is one, and names another host, a query or a fragment, leads upwards or has a NUL.
    """
    if url[:5].lower() != "file:":
        return None
    match = _FILE.fullmatch(url)
    path = unquote(match["path"]) if match else ""
    if match is None or match["host"] or match["rest"] or "\0" in path or ".." in path.split("/"):
        raise BadUrl(f"{url[:200]!a} is no URL of a file on this host", hint="write file:///<absolute path>")
    return Path(path)


def _shown(parts: SplitResult) -> str:
    """Return a URL as it may stand in a log: what signs it or logs in with it is a secret."""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="…" if parts.query else "", fragment=""))


def _names(path: str, version: RecordVersion) -> bool:
    """Tell whether a path's last component names exactly this version, not a revision of it."""
    name = path.rsplit("/", 1)[-1]
    return re.search(rf"(^|-){re.escape(str(version))}(\.|$)", name) is not None


def _storage_url(parts: SplitResult) -> str:
    return f"use https://storage.googleapis.com/{parts.netloc.rpartition('@')[2]}{parts.path}"
