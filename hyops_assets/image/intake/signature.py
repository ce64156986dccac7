"""Is this ISO what a key we trust signed, under this name, at about this time?

What belongs here: verifying bytes and the signed comment (docs.vyos.io, "Verify the image's authenticity"). Whom to
trust, and for what, is decided in `trust.py`.
"""

import mmap
import stat
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hyops_assets.contract.evidence import SignatureFacts
from hyops_assets.contract.minisign_keys import PublicKey, format_key_id
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.digests import CHUNK_BYTES
from hyops_assets.image.intake.minisign import MalformedSignature, Signature, TrustedComment, prehash
from hyops_assets.image.intake.trust import SignatureRefused, require_release, trusted_key
from hyops_assets.settings.feed import MAX_ISO_BYTES, MAX_SIGNATURE_BYTES
from hyops_assets.settings.signing_keys import SigningKey

MAX_LEGACY_BYTES = 1 << 30
"""A legacy signature covers the file itself, which must be mapped whole."""

_STAGE = "verify the signature"


class MissingSignature(SignatureRefused):
    """There is no signature file, or none that may be read."""


class MissingIso(SignatureRefused):
    """There is no regular file to be verified."""


class TooLarge(SignatureRefused):
    """The file is larger than any ISO may be."""


class BadSignature(SignatureRefused):
    """The file, or the signed comment, is not what the key signed."""


class TooLargeForLegacy(SignatureRefused):
    """A legacy signature of a file that is too large to be held at once."""


def verify(
    iso: Path,
    minisig: str | Path,
    keys: Sequence[SigningKey],
    *,
    file_name: str,
    released_at: datetime | None = None,
    most_bytes: int = MAX_ISO_BYTES,
    progress: Progress = silent,
) -> SignatureFacts:
    """Verify an ISO's minisign signature, and return what an auditor needs to verify it again.

    The signature must be of the time at which the feed and, where it tells one, the release's own name say that it was
    built. So a key's window binds releases too: the holder of a retired key can date a signature back, but not put it
    on a release of today.

    Args:
        iso: the file whose bytes are verified, under whatever name it lies.
        minisig: the signature file, or its text.
        keys: the trusted keys. No other key is ever accepted.
        file_name: the name that the signed comment must carry.
        released_at: when the release was announced, with a time zone; None where no feed says so.
        most_bytes: a larger file is refused before it is read.
        progress: called with the ISO's bytes done; what it raises goes through.

    Raises:
        MissingSignature: there is no such signature file.
        MissingIso: there is no such ISO, or it is no regular file.
        MalformedSignature: it is none of minisign's, or its comment lacks time or file name.
        MalformedKey: a trusted key is none of minisign's.
        UnknownKey, BadSignature, ExpiredKey, WrongLine, WrongFile, StaleSignature, TooLarge, TooLargeForLegacy,
            AmbiguousKeys: the ISO is refused for the reason that the type names.
    """
    _require_size(iso, most_bytes)
    text = minisig if isinstance(minisig, str) else read_minisig(minisig)
    signature = Signature.parse(text)
    trusted, public_key = trusted_key(signature, keys)
    _verify_bytes(iso, signature, public_key, progress)
    # Only now may the comment be believed.
    comment = TrustedComment.parse(signature.trusted_comment)
    require_release(trusted, comment, file_name, released_at)
    return SignatureFacts(
        key_name=trusted.name,
        key_id=format_key_id(public_key.key_id),
        public_key=trusted.public_key,
        algorithm=signature.algorithm,
        trusted_comment=signature.trusted_comment,
        file_name=comment.file_name,
        signed_at=comment.signed_at,
        minisig=text,
        lab=trusted.lab,
    )


def read_minisig(path: Path) -> str:
    """Return the text of a signature file.

    Raises:
        MissingSignature: there is none, or it may not be read.
        MalformedSignature: it is too long, or no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIGNATURE_BYTES + 1)
    except FileNotFoundError as error:
        raise MissingSignature(
            f"{path.name} does not exist: the ISO is unsigned",
            hint="put the .minisig file that the vendor publishes beside the ISO",
        ) from error
    except OSError as error:
        raise MissingSignature(
            f"{path.name} cannot be read: {error.strerror}",
            hint="put the .minisig file beside the ISO, readable by this user",
        ) from error
    try:
        if len(content) > MAX_SIGNATURE_BYTES:
            raise MalformedSignature(
                f"{path.name} is longer than {MAX_SIGNATURE_BYTES} bytes",
                hint="fetch the .minisig file again, from beside the ISO",
            )
        return content.decode()
    except UnicodeDecodeError as error:
        raise MalformedSignature(
            f"{path.name} is no text: {error.reason} at byte {error.start}",
            hint="fetch the .minisig file again, from beside the ISO",
        ) from error


def _require_size(iso: Path, most_bytes: int) -> None:
    """Refuse what is no file, or too large, before a byte of it is read: a device or a fifo would have no end."""
    try:
        found = iso.stat()
    except OSError as error:
        raise MissingIso(f"{iso} cannot be read: {error.strerror}", hint="name the ISO's file") from error
    if not stat.S_ISREG(found.st_mode):
        raise MissingIso(f"{iso} is no regular file", hint="name the ISO's file")
    if found.st_size > most_bytes:
        raise TooLarge(
            f"{iso.name} has {found.st_size} bytes, allowed are {most_bytes}",
            hint="if that is an ISO, raise feed.max_iso_bytes in config/pipeline.yml",
        )


def _verify_bytes(iso: Path, signature: Signature, key: PublicKey, progress: Progress) -> None:
    """Verify the signature of the file and that of the comment, which nothing else binds to each other."""
    ed25519 = Ed25519PublicKey.from_public_bytes(key.ed25519)
    by = f"key {format_key_id(key.key_id)}"
    try:
        ed25519.verify(signature.global_ed25519, signature.global_message)
    except InvalidSignature as error:
        raise BadSignature(
            f"the signature's comment is not what {by} signed",
            hint="fetch the .minisig file again, from the vendor",
        ) from error
    try:
        if signature.algorithm == "prehashed":
            ed25519.verify(signature.ed25519, _blake2b_of(iso, progress))
        else:
            _verify_legacy(iso, signature, ed25519, progress)
    except InvalidSignature as error:
        raise BadSignature(
            f"{iso.name} is not what {by} signed: it was damaged or tampered with",
            hint="remove it and fetch it again, from the vendor",
        ) from error


def _verify_legacy(iso: Path, signature: Signature, ed25519: Ed25519PublicKey, progress: Progress) -> None:
    size = iso.stat().st_size
    if size > MAX_LEGACY_BYTES:
        raise TooLargeForLegacy(
            f"{iso.name} has a legacy signature and {size} bytes, more than {MAX_LEGACY_BYTES}",
            hint="ask for a prehashed signature: minisign -S -H",
        )
    # One call verifies it all: there is nothing to tell in between.
    progress(_STAGE, 0, size)
    if size == 0:
        ed25519.verify(signature.ed25519, b"")
    else:
        with (
            iso.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as content,
        ):
            ed25519.verify(signature.ed25519, content)
    progress(_STAGE, size, size)


def _blake2b_of(path: Path, progress: Progress) -> bytes:
    digest = prehash()
    total = path.stat().st_size
    done = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            progress(_STAGE, done, total)
    return digest.digest()
