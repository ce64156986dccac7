"""Which versions of a record a repository holds, and which revision comes next.

A version's names are created once. Who wants other bytes makes a revision (`-r2`, `-r3`, …); this says which one is
free, as the repository tells it: a colleague's host may have published what this one never saw. Names are looked up
one by one, which takes no right beyond reading them; a bucket that anonymous readers read need not let them list it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.record import FORMATS
from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from resources.repository.base import ObjectConflict, ObjectRepository

RECORD_DOCUMENT = "record.json"
"""The commit point of a version: where it is, the version is published."""


class AlreadyPublished(Refused):
    """A version was to be built again that is published: its names are never written twice."""


class VersionTaken(HyopsError):
    """A version's names hold other bytes than this build's. What is published stays as it is."""


def is_published(repository: ObjectRepository, key: str, version: RecordVersion) -> bool:
    """Tell whether the record of a version stands in the repository."""
    return repository.head(published_name(key, version, RECORD_DOCUMENT)) is not None


def next_free_revision(repository: ObjectRepository, key: str, version: RecordVersion) -> RecordVersion:
    """Return the first revision after this one none of whose names is taken, not even by a half-published record."""
    revision = version.next_revision()
    while _is_taken(repository, key, revision):
        revision = revision.next_revision()
    return revision


def refuse_rebuild(repository: ObjectRepository, key: str, version: RecordVersion) -> None:
    """Refuse to build a published version again; accept one that is not.

    Raises:
        AlreadyPublished: it is; the hint names the next free revision.
    """
    if is_published(repository, key, version):
        free = next_free_revision(repository, key, version)
        raise AlreadyPublished(
            f"{key} {version} is published at {repository.url(published_name(key, version, RECORD_DOCUMENT))}, "
            "and rebuild_if_exists does not replace what is published",
            hint=f"build the next free revision: record_version: {free}",
        )


@contextmanager
def conflicts_name_a_revision(repository: ObjectRepository, key: str, version: RecordVersion) -> Iterator[None]:
    """Turn a taken name into the error that says which revision is free.

    Raises:
        VersionTaken: the block met a name of this version that has other bytes.
    """
    try:
        yield
    except ObjectConflict as conflict:
        free = next_free_revision(repository, key, version)
        raise VersionTaken(
            conflict.message,
            hint=f"publish this build as the next free revision: record_version: {free}",
        ) from conflict


def _is_taken(repository: ObjectRepository, key: str, version: RecordVersion) -> bool:
    suffixes = (RECORD_DOCUMENT, *FORMATS)
    return any(repository.head(published_name(key, version, suffix)) is not None for suffix in suffixes)
