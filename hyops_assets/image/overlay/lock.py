"""The package lock: exactly which .debs an overlay is made of. Its digest is part of a record's identity.

As a file it is canonical JSON (`read_lock`), so that a lock can be kept, compared and given back: the same ISO, lock
and helper give the same disk, offline.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from hyops_assets.contract.canonical import Frozen, Sha256, digest_of
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.dpkg import suite_of

SCHEMA = "hyops.package-lock/v1"


class BadLock(HyopsError):
    """A file is no package lock."""


class WrongLock(Refused):
    """A lock was solved against other packages than this ISO's."""


class LockedPackage(Frozen):
    """One .deb's name, version and bytes. Names and versions as Debian policy §5.6.7 and §5.6.12 spell them."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+:~-]+$")]
    architecture: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
    file_name: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~_%-]*\.deb$")]
    size_bytes: int = Field(gt=0)
    sha256: Sha256


class PackageLock(Frozen):
    """The .debs of an overlay, by name, and what they were solved against. May be empty.

    `suite` is the Debian suite of the ISO, `status_sha256` the SHA-256 of its /var/lib/dpkg/status: .debs that fit
    one ISO may break another of the same suite.
    """

    schema_: Literal["hyops.package-lock/v1"] = Field(default=SCHEMA, alias="schema")
    suite: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
    status_sha256: Sha256
    packages: list[LockedPackage]

    @model_validator(mode="after")
    def _has_one_order(self) -> Self:
        names = [package.name for package in self.packages]
        if names != sorted(set(names)):
            raise ValueError("the packages of a lock are sorted by name, each named once")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of this lock: the record's `overlay_lock_sha256`."""
        return digest_of(self)


def require_fits(lock: PackageLock, status: bytes) -> None:
    """Refuse a lock that was made for another ISO.

    Args:
        lock: given by the caller, or made before.
        status: the ISO's /var/lib/dpkg/status.

    Raises:
        WrongLock: other suite, or other packages; says both.
        BadStatus: the status does not tell the ISO's suite.
    """
    suite, found = suite_of(status), sha256_of_bytes(status)
    if (lock.suite, lock.status_sha256) == (suite, found):
        return
    raise WrongLock(
        f"the package lock was solved for {lock.suite} against the dpkg status {lock.status_sha256}, and this ISO is "
        f"of {suite} with the dpkg status {found}",
        hint="give the ISO that the lock was made for, or build without a lock",
    )


def parse_lock(content: bytes, name: str = "the package lock") -> PackageLock:
    """Return the lock that a file's bytes hold; white space does not matter, an unknown key does.

    Raises:
        BadLock: it is none; the message names everything that is wrong.
    """
    try:
        return PackageLock.model_validate_json(content)
    except ValidationError as error:
        raise BadLock(
            f"{name} cannot be used: {wrong_values(error, 'it')}", hint=f"give a file of schema {SCHEMA}"
        ) from error


def read_lock(path: Path) -> PackageLock:
    """Read a lock from a file.

    Raises:
        BadLock: the file cannot be read, or holds no lock.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadLock(f"{path} cannot be read: {error.strerror}", hint="give the path of a package lock") from error
    return parse_lock(content, str(path))
