"""What may not be written down: values of secrets, wherever they turn up in a text or a document.

Two nets. Values of variables whose names say that they hold a secret are known and replaced wherever they stand;
patterns find what is written like a secret (HyOps' norm for run records, and private keys, which its patterns leave
out).
"""

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.printable import printable

REDACTED = "***REDACTED***"

SHORTEST_SECRET = 8
"""Shorter values stay: `yes` or `vyos` in a variable would blacken half of every text, and hides nothing."""

_SHORTEST_URL_PART = 16
"""Of a secret URL: what is shorter is a word such as `services`."""

_URL_SAFE = str.maketrans("+/", "-_")

_WORDS = (
    r"passwords?|passphrase|passwd|secrets?|tokens?|api_?keys?|account_?key|access_?key(?:_?id)?|private_?key|sa_json"
)
_NAME = re.compile(rf"(?:^|_)(?:{_WORDS}|credentials?|.*sa_json.*)(?:$|_)", re.IGNORECASE)
_POINTER = re.compile(r"_(?:env|file|path|dir|url|name|id)$", re.IGNORECASE)
_NAMED_POINTER = re.compile(r"_(?:env|file|path|dir|name|id)$", re.IGNORECASE)
"""A URL in a variable that was named as a secret is one: a webhook's, for example."""
PROXY_VARIABLES = tuple(
    form for name in ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy") for form in (name, name.upper())
)
"""Hold URLs, and those may hold a password."""
_PATTERNS = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, flags, replacement in (
        (r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(-----END \1-----|\Z)", re.DOTALL, REDACTED),
        (r"(\bauthorization\"?\s*[:=]\s*\"?)(?:[A-Za-z]+[ \t]+)?[^\s\",]+", re.IGNORECASE, rf"\1{REDACTED}"),
        (r"(\b(?:bearer|PVEAPIToken=\S+=)\s*)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE, rf"\1{REDACTED}"),
        (
            r"(\b(?:[a-z]+_)?(?:token|client_secret|password|passphrase|secret|api_key|account_key|access_key"
            r"|private_key|sa_json)[\"']?\s*[:=]\s*)(?:\"(?:[^\"\\]|\\.)+\"|'[^']+'|[^\s\"'&,;}…]+)",
            re.IGNORECASE,
            rf"\1{REDACTED}",
        ),
        (
            r"(\b(?:AWS_[A-Z_]+|[A-Z][A-Z0-9_]*(?:TOKEN|SECRET|PASSWORD|KEY|SA_JSON))=)[^\s…]+",
            0,
            rf"\1{REDACTED}",
        ),
        (r"(://)[^\s/@:]*:[^\s/@]+@", 0, rf"\1{REDACTED}@"),
        (
            r"([?&](?:x-goog-(?:signature|credential)|x-amz-(?:signature|credential|security-token)|signature|sig"
            r"|upload_id|token)=)[^&\s\"']+",
            re.IGNORECASE,
            rf"\1{REDACTED}",
        ),
    )
)


def is_secret_name(name: str) -> bool:
    """Tell whether a key or a variable of this name holds a secret; one that names a file or a variable does not."""
    return _NAME.search(name) is not None and _POINTER.search(name) is None


class Redactor:
    """Replaces secrets in texts and documents.

    Args:
        environ: of this process. Variables with a secret's name are taken.
        named: further variables that hold one, whatever their names: a site's `token_env`, a module's `required_env`.
            One that names a file (`…_FILE`) holds none.
    """

    def __init__(self, environ: Mapping[str, str], named: Iterable[str] = ()) -> None:
        extra = {name for name in named if _NAMED_POINTER.search(name) is None}
        held = {name: value for name, value in environ.items() if name in extra or is_secret_name(name)}
        known = {form: name for name, value in held.items() for form in forms_of(value)}
        known |= {form: name for name in PROXY_VARIABLES for form in proxy_forms(environ.get(name, ""))}
        # The longest first: one secret may contain another.
        self._known = sorted(known.items(), key=lambda pair: len(pair[0]), reverse=True)

    def __repr__(self) -> str:
        return f"Redactor({len(self._known)} known values)"

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for value, _ in self._known:
            text = text.replace(value, REDACTED)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def document(self, value: Any) -> Any:
        """Return a JSON value without secrets: in texts, and a text that stands under a secret's name."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): REDACTED
                if is_secret_name(str(key)) and isinstance(item, str | bytes) and item
                else self.document(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.document(item) for item in value]
        return value

    def source_of(self, text: str) -> str | None:
        """Return the name of the variable whose secret stands in a text; None where none does."""
        return next((name for value, name in self._known if value in text), None)


def forms_of(value: str) -> set[str]:
    """Return the ways in which a secret turns up: as it is, escaped, line by line, and the parts of a JSON key."""
    bare = value.strip()
    forms = {value, *_written(bare), *_url_parts(bare)}
    # Lines of JSON are braces and names of keys; its secrets are the parts.
    parts = _key_parts(bare)
    for part in [*parts, *([] if parts else bare.splitlines())]:
        forms |= {*_written(part), *(line.strip() for line in part.splitlines())}
    return {form for form in forms if len(form) >= SHORTEST_SECRET and not form.startswith("-----")}


def _written(text: str) -> set[str]:
    """Return how JSON, Python's repr of text and of bytes, URLs, forms, pages, shells and headers write a text."""
    raw = text.encode(errors="surrogateescape")
    in_json = json.dumps(text)[1:-1]
    escaped = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    return {
        text,
        in_json,
        # A document that is a text of another one.
        json.dumps(in_json)[1:-1],
        ascii(text)[1:-1],
        html.escape(text),
        shlex.quote(text),
        raw.hex(),
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        printable(text),
        repr(raw)[2:-1],
        # A name for HTTP/1.1 headers that a server or a library read in their own character set.
        raw.decode("latin-1"),
        *escaped,
        *(re.sub("%..", lambda found: found[0].lower(), one) for one in escaped),
        *_in_base64(raw),
    }


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield what base64 makes of a text wherever in a longer one it stands, such as behind a user's name."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        # Characters that hold bits of nothing else.
        own = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield own
        yield own.translate(_URL_SAFE)


def _url_parts(text: str) -> set[str]:
    """Return what of a secret URL shows where its host is left out: a path and a query, as a request line has them."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return set()
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return set()
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return {target, parts.query, *(part for part in parts.path.split("/") if len(part) >= _SHORTEST_URL_PART)}


def proxy_forms(proxy: str) -> set[str]:
    """Return how the credentials of a proxy's URL turn up: as they stand, decoded, and as `Proxy-Authorization`."""
    userinfo, at, _ = proxy.strip().rpartition("@")
    if not at:
        return set()
    userinfo = userinfo.partition("://")[2] or userinfo
    user, colon, password = userinfo.partition(":")
    if not colon or not password:
        return set()
    alone = {password, *_written(unquote(password))}
    # With its user, a password of any length is found and means nothing else.
    return {form for form in alone if len(form) >= SHORTEST_SECRET} | {
        userinfo,
        *_written(f"{unquote(user)}:{unquote(password)}"),
    }


def _key_parts(text: str) -> list[str]:
    try:
        key = parsed_json(text, strict=False)
    except ValueError:
        return []
    if not isinstance(key, dict):
        return []
    return [part for name in ("private_key", "private_key_id") if isinstance(part := key.get(name), str)]
