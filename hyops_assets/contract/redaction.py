"""What may not be written down: values of secrets, wherever they turn up in a text or a document.

Two nets. Values of variables whose names say that they hold a secret are known and replaced wherever they stand;
patterns find what is written like a secret (HyOps' norm for run records, and private keys, which its patterns leave
out).
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

REDACTED = "***REDACTED***"

SHORTEST_SECRET = 8
"""Shorter values stay: `yes` or `vyos` in a variable would blacken half of every text, and hides nothing."""

_WORDS = (
    r"passwords?|passphrase|passwd|secrets?|tokens?|api_?keys?|account_?key|access_?key(?:_?id)?|private_?key|sa_json"
)
_NAME = re.compile(rf"(?:^|_)(?:{_WORDS}|credentials?|.*sa_json.*)(?:$|_)", re.IGNORECASE)
_POINTER = re.compile(r"_(?:env|file|path|dir|url|name|id)$", re.IGNORECASE)
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
        (r"(://)[^\s/@:]+:[^\s/@]+@", 0, rf"\1{REDACTED}@"),
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
    """

    def __init__(self, environ: Mapping[str, str], named: Iterable[str] = ()) -> None:
        extra = {name for name in named if _POINTER.search(name) is None}
        held = {name: value for name, value in environ.items() if name in extra or is_secret_name(name)}
        known = {form: name for name, value in held.items() for form in _forms(value)}
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
        """Return a JSON value without secrets: in texts, and whatever stands under a secret's name."""
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


def _forms(value: str) -> set[str]:
    """Return the ways in which a secret turns up: as it is, escaped, and the parts of a JSON key."""
    bare = value.strip()
    forms = {value, bare, json.dumps(bare)[1:-1], quote(bare, safe="")}
    for part in _key_parts(bare):
        forms |= {part, json.dumps(part)[1:-1], *part.splitlines()}
    return {form for form in forms if len(form) >= SHORTEST_SECRET and not form.startswith("-----")}


def _key_parts(text: str) -> list[str]:
    try:
        key = json.loads(text, strict=False)
    except ValueError:
        return []
    if not isinstance(key, dict):
        return []
    return [part for name in ("private_key", "private_key_id") if isinstance(part := key.get(name), str)]
