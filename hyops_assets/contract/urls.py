"""Published names and the URLs that may stand in a contract.

Rules of the source document: published URLs are versioned, public and immutable; `gs://` is not usable by
Hetzner's rescue system; upstream `latest` never enters the contract.
"""

import re
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.version import RecordVersion, require_key

PREFIX = "network/vyos"
"""Where records live in an object repository (source document, "Verified steady-state example")."""

_MUTABLE = re.compile(r"(^|[/._-])(latest|current|head|main|master)([/._-]|$)", re.IGNORECASE)
_SIGNED = re.compile(r"(^|&)(x-goog-signature|x-amz-signature|signature|sig|token|x-goog-credential)=", re.IGNORECASE)


class BadUrl(Refused):
    """A URL that may not enter a contract."""


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
            at something that moves (`latest`, `current`), leads upwards, has a space or a control character, or does
            not name the version.
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
        (not _names(path, version), f"its name lacks the version {version}", "use the versioned name"),
    ):
        if broken:
            raise BadUrl(f"{_shown(parts)!r} may not stand in a contract: {why}", hint=hint)
    return url


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
