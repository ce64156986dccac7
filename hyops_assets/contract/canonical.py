"""Canonical JSON and digests: the identity of everything that is promised.

A digest is always written as 64 lower-case hex digits of SHA-256.
"""

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationInfo, field_validator

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""64 lower-case hex digits."""


class Frozen(BaseModel):
    """Base of the promised models: immutable, and an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `port: true`, which Python takes for 1."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation in (int, float):
            raise ValueError(f"{str(value).lower()} is no number")
        return value


def canonical_json(value: Any) -> bytes:
    """Serialise as the one byte string that this value has.

    Keys sorted, no white space, UTF-8 without escapes, no NaN (the rules of RFC 8785 as far as our models use
    JSON: strings, integers, booleans, null, lists, objects; floats are refused because their text is not unique).
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        message = f"a float has no canonical text: {value!r}"
        raise TypeError(message)
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
