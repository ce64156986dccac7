"""Types of what a run's configuration may carry: values that name no command, no secret, no path and no root.

Anyone who reaches the UI can write a run's configuration, so nothing in it may act by itself (docs/decisions/0019).
What has power is handed over in private (`handed_over.py`).
"""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from hyops_assets.contract.urls import BadUrl, Url
from hyops_assets.contract.version import KEY_PATTERN

_MOST_CHARACTERS = 2048


def is_public_https(url: str) -> bool:
    """Tell whether a text is an https URL of a public file: with a host, and no credentials, query or fragment."""
    try:
        return len(url) <= _MOST_CHARACTERS and Url.parse(url).query is None
    except BadUrl:
        return False


def _public_https(url: str) -> str:
    if url and not is_public_https(url):
        scheme, found, _ = url.partition("://")
        said = f"{ascii(scheme[:20])[1:-1]}:// is not taken" if found and scheme != "https" else "that is none"
        message = f"an https URL of a public file, without credentials or query: {said}"
        raise ValueError(message)
    return url


_IN_A_SCHEMA = {"type": "string", "pattern": r"^(https://[^\s@?#]+)?$", "maxLength": _MOST_CHARACTERS}
"""What of it a JSON schema can say, for a program that validates by that."""
PublicUrl = Annotated[str, AfterValidator(_public_https), WithJsonSchema(_IN_A_SCHEMA)]
"""An https URL that anyone may read, or empty."""

OptionalDigest = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
"""A SHA-256, or empty."""

OptionalKey = Annotated[str, StringConstraints(pattern=rf"^({KEY_PATTERN.pattern})?$")]
"""The key of a record, or empty."""

Sentence = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=10_000)]
"""One line for people to read."""
