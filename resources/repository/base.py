"""What every object repository does, whatever holds its bytes.

Objects are created and never replaced or removed: a published URL means the same bytes for ever (source document,
"Guardrails"; object stores call it a generation-0 precondition). Names that move are another kind of object and
not created here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol
from urllib.parse import unquote

from hyops_assets.contract.errors import HyopsError, Refused, said_by_system
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import public_url
from resources.buckets.base import BucketFailed, ObjectHead
from resources.buckets.names import require_object_name


class ObjectConflict(HyopsError):
    """A name is taken by other bytes. What is published stays as it is."""

    def __init__(self, url: str, *, found: str, expected: str) -> None:
        super().__init__(
            f"{url} is published with other bytes: it has sha256 {found}, this build has {expected}",
            hint="make a revision: build this release again under the next version (-r2, -r3, …)",
        )


class ObjectMissing(HyopsError):
    """The repository has no such object."""


class NotPublic(HyopsError):
    """Anonymous readers cannot read what is created here, so no site could fetch it."""


class RepositoryFailed(HyopsError):
    """The repository could not take or give the bytes."""


@dataclass(frozen=True)
class Published:
    """An object that is in place.

    Attributes:
        url: where anyone reads it.
        outcome: `created` by this call, or `adopted`: it was there, with equal bytes.
        size_bytes: of the object.
        bytes_sent: what this call wrote to the repository; 0 where it found the object in place.
    """

    url: str
    outcome: Literal["created", "adopted"]
    size_bytes: int
    bytes_sent: int


@dataclass(frozen=True)
class ObjectFacts:
    """What the repository says of an object, without reading its bytes.

    `sha256`, `content_type` and `metadata` are what its creator noted; only `read_anonymous` proves the bytes.
    """

    name: str
    url: str
    size_bytes: int
    sha256: str | None
    content_type: str | None
    metadata: Mapping[str, str]


class ReadBack(NamedTuple):
    """Digest and size of the bytes that an anonymous reader got."""

    sha256: str
    size_bytes: int


class ObjectRepository(Protocol):
    """A store of immutable objects behind public URLs."""

    def url(self, name: str) -> str:
        """Return the URL under which anyone reads an object of this name, there or not."""
        ...

    def create(
        self,
        name: str,
        source: Path | bytes,
        *,
        sha256: str,
        content_type: str,
        metadata: Mapping[str, str],
        progress: Progress = silent,
    ) -> Published:
        """Publish bytes under a name that is free, or find them there.

        Raises:
            BadObjectName: the name is none.
            DigestMismatch: the source's bytes do not have this SHA-256.
            ObjectConflict: the name is taken by other bytes.
            NoSpace: it does not fit.
            RepositoryFailed: the repository refuses for another reason, such as a permission.
        """
        ...

    def require_public(self) -> None:
        """Find out, before gigabytes are sent, whether what is created here can be read by anyone.

        Raises:
            NotPublic: it cannot.
            RepositoryFailed: nothing can be created here at all.
        """
        ...

    def require_ready(self) -> None:
        """Find out, without writing anything, whether objects can be created here and read by anyone.

        What cannot be known without writing is left to `require_public`.

        Raises:
            NotPublic: anonymous readers could not read them.
            RepositoryFailed: the place is not there, or may not be written.
        """
        ...

    def head(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object, or None where there is none."""
        ...

    def read_anonymous(self, where: str, *, progress: Progress = silent) -> ReadBack:
        """Read an object (a name or its URL) as an anonymous reader does: all bytes, no credentials, no redirect.

        Raises:
            ObjectMissing: there is none.
            Refused: the URL is not one of this repository, or answers with a redirect.
            TransientError: it could not be read now.
        """
        ...

    def list(self, prefix: str) -> list[str]:
        """Return the names that start with a prefix, sorted."""
        ...

    def close(self) -> None:
        """Give back what is held open."""
        ...


def name_at(where: str, base_url: str) -> str:
    """Return the name of an object that is given by its name, or by its URL below a base URL.

    Raises:
        BadObjectName: the name is none.
        Refused: the URL is none of this repository, or is written in another way than the repository writes it.
    """
    if "://" not in where:
        return require_object_name(where)
    base = base_url.rstrip("/") + "/"
    name = unquote(where.removeprefix(base))
    if not where.startswith(base) or public_url(base, require_object_name(name)) != where:
        raise Refused(f"{where!r} is not a URL of the repository at {base}", hint="give a name or its plain URL")
    return name


def missing(url: str) -> ObjectMissing:
    """Return the error for an object that is not there."""
    return ObjectMissing(f"{url} is not published", hint="materialize published_contract for its version")


def facts_of(held: ObjectHead, url: str) -> ObjectFacts:
    """Return what a bucket says of an object, with the URL that anyone reads it at."""
    noted = held.noted
    return ObjectFacts(
        name=held.name,
        url=url,
        size_bytes=held.size_bytes,
        sha256=noted.sha256 if noted else None,
        content_type=noted.content_type if noted else None,
        metadata=dict(noted.metadata or {}) if noted else {},
    )


@contextmanager
def refusals_of_the_bucket() -> Iterator[None]:
    """Raise what a bucket, or the file system beneath it, refuses as RepositoryFailed."""
    try:
        yield
    except BucketFailed as error:
        raise RepositoryFailed(error.message, hint=error.hint) from error
    except OSError as error:
        raise RepositoryFailed(said_by_system(error), hint="check the repository and its file system") from error
