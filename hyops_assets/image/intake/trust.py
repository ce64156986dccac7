"""Whom to trust, for which releases, signed when.

What belongs here: decisions over plain values. A valid signature is not enough: an older ISO, validly signed, served
under a new release's name must be refused too, so the signed comment is held against the release. A private key of
VyOS' rolling releases was once published, which is why keys are pinned, named and valid for a time
(docs/decisions/0012).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.minisign_keys import PublicKey, format_key_id
from hyops_assets.contract.version import release_line, release_of_iso, release_time
from hyops_assets.image.intake.minisign import Signature, TrustedComment
from hyops_assets.settings.signing_keys import DISTRUSTED, KNOWN_KEYS, SigningKey

MAX_AGE_DIFFERENCE = timedelta(hours=48)
"""How far a signature's time may be from the release's: VyOS signs within hours of the build."""


class SignatureRefused(Refused):
    """An ISO whose signature does not make it trustworthy."""


class AmbiguousKeys(SignatureRefused):
    """Two of the trusted keys have the same id, so that a signature does not tell which one made it."""


class UnknownKey(SignatureRefused):
    """Signed by a key that is not among the trusted ones."""


class ExpiredKey(SignatureRefused):
    """Signed at a time for which the key is not trusted."""


class WrongLine(SignatureRefused):
    """Signed by a key of VyOS that does not sign releases of this line, or files of this name."""


class WrongFile(SignatureRefused):
    """A valid signature of a file of another name: an ISO that was renamed."""


class StaleSignature(SignatureRefused):
    """A valid signature from another time than the release's: another build under its name."""


def trusted_key(signature: Signature, keys: Sequence[SigningKey]) -> tuple[SigningKey, PublicKey]:
    """Return the one trusted key that a signature names.

    Raises:
        MalformedKey: a trusted key is none of minisign's.
        UnknownKey: none of them has the id; says so where it is a key of VyOS that is distrusted.
        AmbiguousKeys: two of them have it.
    """
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


def require_release(key: SigningKey, comment: TrustedComment, file_name: str, released_at: datetime | None) -> None:
    """Hold a verified signature against the release that it shall be of.

    Raises:
        ExpiredKey, WrongFile, WrongLine, StaleSignature: what the type names.
    """
    _require_validity(key, comment.signed_at)
    _require_file_name(comment.file_name, file_name)
    _require_line(key, file_name)
    _require_time(comment.signed_at, released_at, "the feed says")
    release = release_of_iso(file_name)
    _require_time(comment.signed_at, release_time(release) if release else None, "its name says")


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
