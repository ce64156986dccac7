"""Is this ISO what a key we trust signed, under this name, at about this time?

What belongs here: trust. A valid signature is not enough: an older ISO, validly signed, served under a new
release's name must be refused too, so the signed comment is held against the release. VyOS signs with minisign
(docs.vyos.io, "Verify the image's authenticity"); a private key of its rolling releases was once published,
which is why keys are pinned, named and valid for a time.
"""

import mmap
import stat
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import SignatureFacts
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.settings import MAX_ISO_BYTES
from hyops_assets.contract.signing_keys import DISTRUSTED, KNOWN_KEYS, SigningKey
from hyops_assets.contract.version import release_line, release_of_iso, release_time
from hyops_assets.image.digests import CHUNK_BYTES
from hyops_assets.image.intake.minisign import (
    MAX_SIGNATURE_BYTES,
    MalformedSignature,
    PublicKey,
    Signature,
    TrustedComment,
    format_key_id,
    prehash,
)

MAX_LEGACY_BYTES = 1 << 30
"""A legacy signature covers the file itself, which must be mapped whole."""

MAX_AGE_DIFFERENCE = timedelta(hours=48)
"""How far a signature's time may be from the release's: VyOS signs within hours of the build."""


_STAGE = "verify the signature"


class SignatureRefused(Refused):
    """An ISO whose signature does not make it trustworthy."""


class MissingSignature(SignatureRefused):
    """There is no signature file, or none that may be read."""


class MissingIso(SignatureRefused):
    """There is no regular file to be verified."""


class TooLarge(SignatureRefused):
    """The file is larger than any ISO may be."""


class AmbiguousKeys(SignatureRefused):
    """Two of the trusted keys have the same id, so that a signature does not tell which one made it."""


class UnknownKey(SignatureRefused):
    """Signed by a key that is not among the trusted ones."""


class BadSignature(SignatureRefused):
    """The file, or the signed comment, is not what the key signed."""


class TooLargeForLegacy(SignatureRefused):
    """A legacy signature of a file that is too large to be held at once."""


class ExpiredKey(SignatureRefused):
    """Signed at a time for which the key is not trusted."""


class WrongLine(SignatureRefused):
    """Signed by a key of VyOS that does not sign releases of this line, or files of this name."""


class WrongFile(SignatureRefused):
    """A valid signature of a file of another name: an ISO that was renamed."""


class StaleSignature(SignatureRefused):
    """A valid signature from another time than the release's: another build under its name."""


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

    The signature must be of the time at which the feed and, where it tells one, the release's own name say that it
    was built. So a key's window binds releases too: whoever gets hold of a retired key can date a signature back,
    but not put it on a release of today.

    Args:
        iso: the file whose bytes are verified, under whatever name it lies.
        minisig: the signature file, or its text.
        keys: the trusted keys. No other key is ever accepted.
        file_name: the name that the signed comment must carry.
        released_at: when the release was announced, with a time zone; None where no feed says so.
        most_bytes: a larger file is refused before it is read.
        progress: told the ISO's bytes done; what it raises goes through.

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
    trusted, public_key = _trusted_key(signature, keys)
    _verify_bytes(iso, signature, public_key, progress)
    # Only now may the comment be believed.
    comment = TrustedComment.parse(signature.trusted_comment)
    _require_validity(trusted, comment.signed_at)
    _require_file_name(comment.file_name, file_name)
    _require_line(trusted, file_name)
    _require_time(comment.signed_at, released_at, "the feed says")
    release = release_of_iso(file_name)
    _require_time(comment.signed_at, release_time(release) if release else None, "its name says")
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


def _trusted_key(signature: Signature, keys: Sequence[SigningKey]) -> tuple[SigningKey, PublicKey]:
    """Find the one trusted key that a signature names."""
    parsed = [(key, PublicKey.parse(key.public_key)) for key in keys]
    found = [(key, public_key) for key, public_key in parsed if public_key.key_id == signature.key_id]
    key_id = format_key_id(signature.key_id)
    if not found:
        known = ", ".join(f"{format_key_id(public_key.key_id)} ({key.name})" for key, public_key in parsed) or "none"
        for distrusted in DISTRUSTED:
            if PublicKey.parse(distrusted.key.public_key).key_id == signature.key_id:
                raise UnknownKey(
                    f"signed by key {key_id} ({distrusted.key.name}), which is not trusted: {distrusted.why}",
                    hint="take an ISO that VyOS signed with its present key; to trust this one nevertheless, add"
                    f" {distrusted.key.name} to feed.keys in pipeline.yml",
                )
        raise UnknownKey(
            f"signed by key {key_id}, which is not trusted (trusted: {known})",
            hint="take the ISO from the vendor; if the vendor changed its key, add it to feed.keys in pipeline.yml",
        )
    if len(found) > 1:
        names = " and ".join(key.name for key, _ in found)
        raise AmbiguousKeys(f"keys {names} have the same id {key_id}", hint="keep one of them in feed.keys")
    return found[0]


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


def _require_validity(key: SigningKey, signed_at: datetime) -> None:
    """Hold a signature's day, in UTC, against the key's first and last day."""
    day = signed_at.date()
    if (key.valid_from and day < key.valid_from) or (key.valid_until and day > key.valid_until):
        window = f"{key.valid_from or 'ever'} to {key.valid_until or 'today'}"
        raise ExpiredKey(
            f"key {key.name} signed on {day}, but is trusted from {window} only",
            hint="take an ISO that the vendor signed with its present key",
        )


def _require_file_name(signed: str, expected: str) -> None:
    # The same release under VyOS' older name for ISOs is the same file.
    if signed != expected and (release_of_iso(signed) or signed) != release_of_iso(expected):
        raise WrongFile(
            f"the signature is of {signed!r}, not of {expected!r}",
            hint="fetch the ISO and its signature of the release that is asked for",
        )


def _require_line(key: SigningKey, file_name: str) -> None:
    """Hold a key of VyOS to the releases that it signs: the rolling key must not make a release."""
    # VyOS' key signs VyOS' line also where a pipeline.yml writes it out without one.
    known = (known.line for known in KNOWN_KEYS.values() if known.public_key == key.public_key)
    line = key.line or next(known, None)
    if line is None:
        return
    release = release_of_iso(file_name)
    found = release_line(release) if release else "none"
    if found != line:
        raise WrongLine(
            f"key {key.name} signs {line} releases, but {file_name!r} is of the line {found}",
            hint="take the ISO from where VyOS publishes this release; if VyOS changed its keys, state them in"
            " feed.keys in pipeline.yml",
        )


def _require_time(signed_at: datetime, released_at: datetime | None, who_says: str) -> None:
    if released_at is not None and abs(signed_at - released_at) > MAX_AGE_DIFFERENCE:
        hours = MAX_AGE_DIFFERENCE // timedelta(hours=1)
        raise StaleSignature(
            f"signed at {signed_at:%Y-%m-%d %H:%M} UTC, more than {hours} hours from the release, which {who_says}"
            f" is of {released_at:%Y-%m-%d %H:%M %Z}",
            hint="fetch the ISO and its signature again; an ISO of another build lies under this name",
        )
