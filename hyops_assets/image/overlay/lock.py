"""The package lock: exactly which .debs an overlay is made of. Its digest is part of a record's identity."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from hyops_assets.contract.canonical import Frozen, Sha256, digest_of


class LockedPackage(Frozen):
    """One .deb's name, version and bytes. Names and versions as Debian policy §5.6.7 and §5.6.12 spell them."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+:~-]+$")]
    architecture: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
    file_name: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~_%-]*\.deb$")]
    size_bytes: int = Field(gt=0)
    sha256: Sha256


class PackageLock(Frozen):
    """The .debs of an overlay, by name, and the Debian suite they were solved for. May be empty."""

    suite: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
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
