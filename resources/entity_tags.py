"""Entity-tags: what a server calls the bytes behind a URL, as far as it may be kept and shown to it again."""

import re
from typing import Annotated

from pydantic import AfterValidator

_TAG = re.compile(r'(?P<weak>W/)?"[!#-~]{0,500}"')
"""RFC 9110 §8.8.3, without what it calls obs-text: bytes that are no ASCII are not the same in every program."""


def entity_tag(text: str | None) -> str | None:
    """Return an entity-tag unchanged; None where there is none, or something that is none: then nothing is known."""
    return text if text is not None and _TAG.fullmatch(text) else None


def strong_tag(text: str | None) -> str | None:
    """Return a strong entity-tag unchanged, else None: only one proves equal bytes (RFC 9110 §8.8.1)."""
    match = _TAG.fullmatch(text) if text is not None else None
    return text if match is not None and match["weak"] is None else None


def _require_strong(text: str) -> str:
    if strong_tag(text) is None:
        raise ValueError("not a strong entity-tag (RFC 9110)")
    return text


StrongTag = Annotated[str, AfterValidator(_require_strong)]
"""For models of what was stored: checked when it is written and when it is read."""
