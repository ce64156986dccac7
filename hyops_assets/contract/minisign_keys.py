"""Minisign's public keys as text: one line of base64. Specification: jedisct1.github.io/minisign, "Signature format".

Here, because settings name keys: a mistyped one is refused where it stands, not when the first ISO has arrived.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from hyops_assets.contract.errors import Refused

_KEY_TAG = b"Ed"
_KEY_ID_BYTES = 8
_PUBLIC_KEY_BYTES = 32


class MalformedKey(Refused):
    """A public key that is none of minisign's."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key (32 bytes) and the eight bytes that minisign names it by."""

    key_id: bytes
    ed25519: bytes

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Parse the base64 line of a public key file: 56 characters.

        Raises:
            MalformedKey: not base64, of another length, or of another algorithm than Ed25519.
        """
        try:
            content = exact_base64(text, len(_KEY_TAG) + _KEY_ID_BYTES + _PUBLIC_KEY_BYTES)
            if not content.startswith(_KEY_TAG):
                raise ValueError(f"its algorithm is {content[:2]!r}, not {_KEY_TAG!r}")
        except ValueError as error:
            raise MalformedKey(
                f"{text[:100]!r} is no minisign public key: {error}",
                hint="give the line that begins with RW, as the vendor publishes it",
            ) from error
        tail = content[len(_KEY_TAG) :]
        return cls(tail[:_KEY_ID_BYTES], tail[_KEY_ID_BYTES:])

    def __str__(self) -> str:
        return base64.b64encode(_KEY_TAG + self.key_id + self.ed25519).decode()


def format_key_id(key_id: bytes) -> str:
    """Return a key's id as minisign prints it: 16 upper-case hex digits, the last byte first."""
    return key_id[::-1].hex().upper()


def exact_base64(text: str, length: int) -> bytes:
    """Return the bytes of a base64 text.

    Raises:
        ValueError: it is none, holds another number of bytes, or is another text than the usual one of its bytes.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{text[:100]!r} is not base64") from error
    if len(content) != length:
        raise ValueError(f"{text[:100]!r} holds {len(content)} bytes, not {length}")
    if base64.b64encode(content).decode() != text:
        raise ValueError(f"{text[:100]!r} is not the one base64 text of its bytes")
    return content


def _public_key(text: str) -> str:
    try:
        PublicKey.parse(text)
    except MalformedKey as error:
        raise ValueError(f"{error.message}: {error.hint}") from error
    return text


MinisignKey = Annotated[str, StringConstraints(max_length=100), AfterValidator(_public_key)]
"""The base64 line of a public key file, checked."""
