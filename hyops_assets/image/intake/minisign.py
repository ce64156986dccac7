"""The minisign format: signature files as text, taken apart strictly.

What belongs here: how signatures are written. Keys stand in `contract/minisign_keys.py`; whom to trust belongs to
`trust.py`.
Specification: jedisct1.github.io/minisign, "Signature format".
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.minisign_keys import exact_base64
from hyops_assets.settings.feed import MAX_SIGNATURE_BYTES

Algorithm = Literal["prehashed", "legacy"]

_ALGORITHMS: dict[bytes, Algorithm] = {b"ED": "prehashed", b"Ed": "legacy"}
_TAGS: dict[Algorithm, bytes] = {name: tag for tag, name in _ALGORITHMS.items()}
_KEY_ID_BYTES = 8
_SIGNATURE_BYTES = 64
_UNTRUSTED = "untrusted comment: "
_TRUSTED = "trusted comment: "
# Eleven digits reach the year 5138; more of them overflow the calendar.
_TIMESTAMP = re.compile(r"[0-9]{1,11}", re.ASCII)


class MalformedSignature(Refused):
    """A signature file that minisign does not write."""


@dataclass(frozen=True)
class Signature:
    """What a signature file holds. Nothing in it is to be believed before both signatures were verified.

    Attributes:
        algorithm: whether `ed25519` signs the file's BLAKE2b-512 digest or the file itself.
        key_id: eight bytes that name the signing key.
        ed25519: 64 bytes, over the file.
        trusted_comment: the text that `global_ed25519` covers.
        global_ed25519: 64 bytes, over `ed25519` and the trusted comment.
    """

    algorithm: Algorithm
    key_id: bytes
    ed25519: bytes
    trusted_comment: str
    global_ed25519: bytes

    @classmethod
    def parse(cls, text: str) -> "Signature":
        """Parse a signature file: four lines, and nothing behind them.

        Raises:
            MalformedSignature: it deviates from what minisign writes, in whatever way.
        """
        try:
            return cls._parse(text)
        except _Unreadable as error:
            raise MalformedSignature(
                f"this is no minisign signature file: {error}",
                hint="fetch the .minisig file again, from beside the ISO",
            ) from error

    @classmethod
    def _parse(cls, text: str) -> "Signature":
        _require(len(text) <= MAX_SIGNATURE_BYTES, f"it is longer than {MAX_SIGNATURE_BYTES} bytes")
        lines = text.removesuffix("\n").split("\n")
        _require(len(lines) == 4, f"it has {len(lines)} lines, not 4")
        # Minisign, too, drops the carriage return of a file that went through Windows.
        untrusted, encoded, trusted, encoded_global = (line.removesuffix("\r") for line in lines)
        _require(untrusted.startswith(_UNTRUSTED), f"its first line does not begin with {_UNTRUSTED!r}")
        _require(trusted.startswith(_TRUSTED), f"its third line does not begin with {_TRUSTED!r}")
        comment = trusted.removeprefix(_TRUSTED)
        for line in (untrusted, comment):
            _require(line.replace("\t", " ").isprintable(), "a comment holds control characters")
        content = _unbase64(encoded, 2 + _KEY_ID_BYTES + _SIGNATURE_BYTES)
        tag, rest = content[:2], content[2:]
        _require(tag in _ALGORITHMS, f"its algorithm is {tag!r}, not ED or Ed")
        return cls(
            _ALGORITHMS[tag],
            rest[:_KEY_ID_BYTES],
            rest[_KEY_ID_BYTES:],
            comment,
            _unbase64(encoded_global, _SIGNATURE_BYTES),
        )

    def text(self, untrusted_comment: str) -> str:
        """Return the signature file's text."""
        content = _TAGS[self.algorithm] + self.key_id + self.ed25519
        lines = (
            _UNTRUSTED + untrusted_comment,
            base64.b64encode(content).decode(),
            _TRUSTED + self.trusted_comment,
            base64.b64encode(self.global_ed25519).decode(),
        )
        return "".join(f"{line}\n" for line in lines)

    @property
    def global_message(self) -> bytes:
        """What the global signature covers."""
        return self.ed25519 + self.trusted_comment.encode()


@dataclass(frozen=True)
class TrustedComment:
    """The fields that minisign itself writes into a trusted comment."""

    signed_at: datetime
    file_name: str

    @classmethod
    def parse(cls, text: str) -> "TrustedComment":
        r"""Parse `timestamp:1772500000\tfile:vyos-….iso\thashed`.

        Raises:
            MalformedSignature: a field is missing, stands twice, or is no time.
        """
        fields = [field.partition(":") for field in text.split("\t")]
        try:
            stamp = _only(fields, "timestamp")
            _require(_TIMESTAMP.fullmatch(stamp) is not None, f"its timestamp {stamp!r} is no number of seconds")
            return cls(datetime.fromtimestamp(int(stamp), UTC), _only(fields, "file"))
        except _Unreadable as error:
            raise MalformedSignature(
                f"the trusted comment {text!r} does not say what was signed, and when: {error}",
                hint="have the file signed by minisign with its default trusted comment",
            ) from error


def prehash() -> "hashlib.blake2b":
    """Return the hash whose digest a prehashed signature covers: BLAKE2b-512 (RFC 7693)."""
    return hashlib.blake2b(digest_size=64)


class _Unreadable(Exception):
    """Why a text cannot be read; becomes the message of a typed error."""


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise _Unreadable(otherwise)


def _only(fields: list[tuple[str, str, str]], name: str) -> str:
    values = [value for field, _, value in fields if field == name]
    _require(len(values) == 1, f"it has {len(values)} fields {name!r}, not 1")
    return values[0]


def _unbase64(text: str, length: int) -> bytes:
    try:
        return exact_base64(text, length)
    except ValueError as error:
        raise _Unreadable(str(error)) from error
