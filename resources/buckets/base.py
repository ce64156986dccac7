"""What every bucket does, be it a directory or a service: two kinds of object, each with one rule for writing it.

An immutable object is created under a free name, with its digest noted beside it, and stays as it is. A moving object
(a state, a lease) is replaced by who knows what stands there: by its tag, a generation or an entity-tag, which is
another one after every replacement. Objects of neither kind are removed: services differ in what a conditional
deletion means, and many have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hyops_assets.contract.errors import HyopsError, Refused, TransientError
from hyops_assets.contract.progress import Progress, silent


class BucketFailed(HyopsError):
    """The bucket refuses, and would again: a right, a setting, a name, a full disk."""


class BucketUnavailable(TransientError):
    """No answer in time, or one that asks to come back later."""


class NotPermitted(BucketFailed):
    """The credentials do not give the right to do this."""


class NotThere(HyopsError):
    """There is no such object."""


class Taken(HyopsError):
    """An object of this name is there. `bytes_sent` is what was written to find out."""

    def __init__(self, where: str, *, bytes_sent: int = 0) -> None:
        super().__init__(f"{where} is there", hint="look at what is there")
        self.bytes_sent = bytes_sent


class Changed(HyopsError):
    """What stands under a name is not what its writer knew: another one was faster."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} changed since it was read", hint="read it again, then decide again")


class Immutable(Refused):
    """An object that was created with its digest was to be replaced."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} was created once and is never replaced", hint="give new bytes a new name")


@dataclass(frozen=True)
class Noted:
    """What the creator of an immutable object writes beside its bytes."""

    sha256: str
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] | None = None
    cache_control: str = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class ObjectHead:
    """What a bucket says of an object, without reading its bytes.

    Attributes:
        name: of the object.
        size_bytes: of its bytes.
        tag: what `replace` compares; it means something to the bucket that gave it alone.
        noted: what its creator noted; None for a moving object, and for one put there by other means.
    """

    name: str
    size_bytes: int
    tag: str
    noted: Noted | None


class Bucket(Protocol):
    """A place for objects. Names are `/`-separated components, as `resources.repository.base` has them."""

    @property
    def place(self) -> str:
        """What a person calls it, such as `s3://records`."""
        ...

    def create(self, name: str, source: Path | bytes, noted: Noted, *, progress: Progress = silent) -> int:
        """Create an immutable object under a free name, or nothing; return how many bytes were written.

        Killed at any line, no half object shows; what a killed writer left is gone on with or swept by a later one.

        Raises:
            Taken: the name is not free. After a lost answer that may be our own success.
            DigestMismatch: the source's bytes do not have the noted SHA-256.
            NoSpace: it does not fit.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        ...

    def replace(self, name: str, content: bytes, *, expected: str | None) -> str:
        """Write a moving object where what is expected stands; return its new tag.

        Args:
            name: of the object.
            content: its new bytes, which never stood there before (a counter or a token sees to that): a service's tag
                may be a digest of them.
            expected: the tag of what is there; None where nothing is.

        Raises:
            Changed: something else is there, or nothing.
            Immutable: it is an object of the other kind.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        ...

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> bytes:
        """Return an object's bytes, or those from `start` up to `stop`; fewer where it ends before.

        Raises:
            NotThere: there is none.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        ...

    def head(self, name: str) -> ObjectHead | None:
        """Return what is known of an object, or None where there is none.

        Raises:
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        ...

    def list(self, prefix: str) -> list[str]:
        """Return the names that start with a prefix, sorted.

        Raises:
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        ...

    def close(self) -> None:
        """Give back what is held open."""
        ...


def no_object(where: str) -> NotThere:
    """Return the error for an object that is not there."""
    return NotThere(f"{where} is not there", hint="list what is there")
