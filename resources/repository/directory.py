"""An object repository in a directory, which a web server may serve or not."""

import os
from collections.abc import Mapping
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import public_url
from hyops_assets.image.digests import sha256_of_file
from resources.buckets.base import Noted, Taken
from resources.buckets.directory import DirectoryBucket
from resources.buckets.names import require_object_name
from resources.repository.anonymous import read_public
from resources.repository.base import (
    ObjectConflict,
    ObjectFacts,
    Published,
    ReadBack,
    RepositoryFailed,
    facts_of,
    missing,
    name_at,
    refusals_of_the_bucket,
)
from resources.repository.marker import MARKER, MARKER_SHA256, MARKER_TYPE, place_marker, require_marker


class DirectoryRepository:
    """Immutable objects as files of mode 0644 below one directory.

    Args:
        directory: where the files are; appears when the first object is created.
        public_base_url: the URL that a web server serves the directory under. None: objects have file URLs.
    """

    def __init__(self, directory: Path, public_base_url: str | None = None) -> None:
        self._bucket = DirectoryBucket(directory)
        self.directory = self._bucket.directory
        self.public_base_url = public_base_url

    def url(self, name: str) -> str:
        """Return the URL under which anyone reads an object of this name, there or not."""
        require_object_name(name)
        if self.public_base_url is not None:
            return public_url(self.public_base_url, name)
        return (self.directory / name).as_uri()

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
        """Publish bytes under a name that is free, or find them there. Killed at any line, no half object shows.

        Raises:
            BadObjectName: the name is none.
            DigestMismatch: the source's bytes do not have this SHA-256.
            ObjectConflict: the name is taken by other bytes.
            NoSpace: it does not fit into the repository's file system.
            RepositoryFailed: the file system refuses for another reason.
        """
        noted = Noted(sha256, content_type, metadata)
        with refusals_of_the_bucket():
            try:
                sent = self._bucket.create(name, source, noted, progress=progress)
            except Taken as taken:
                size = self._require_equal(name, sha256, progress)
                # Who was killed before it could, or put the file there by hand, noted nothing.
                self._bucket.note(name, noted)
                return Published(self.url(name), "adopted", size, taken.bytes_sent)
        return Published(self.url(name), "created", sent, sent)

    def require_public(self) -> None:
        """Find out whether anyone can read what is created here. Without a web server, files are for this host.

        Raises:
            NotPublic: the web server does not serve the directory to everyone.
            MarkerNamesTaken: other bytes have every name of the object that would prove it.
            RepositoryFailed: the directory cannot be written.
        """
        if self.public_base_url is not None:
            hint = f"serve {self.directory} under {self.public_base_url} without credentials or redirects"
            name = place_marker(
                lambda name: self.create(name, MARKER, sha256=MARKER_SHA256, content_type=MARKER_TYPE, metadata={})
            )
            require_marker(self.url(name), hint=hint)

    def require_ready(self) -> None:
        """Find out whether the directory can be written, or made where it is not there yet.

        Raises:
            RepositoryFailed: it cannot.
        """
        there = self.directory
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise RepositoryFailed(f"{there} cannot be written", hint="give this user the directory")

    def head(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object, or None where there is none.

        Raises:
            RepositoryFailed: what was noted of it cannot be read.
        """
        with refusals_of_the_bucket():
            held = self._bucket.head(name)
        return facts_of(held, self.url(name)) if held else None

    def read_anonymous(self, where: str, *, progress: Progress = silent) -> ReadBack:
        """Read an object (a name or its URL) as an anonymous reader does: all bytes, no credentials, no redirect.

        Raises:
            ObjectMissing: there is none.
            Refused: the URL is not one of this repository, or answers with a redirect.
            TransientError: it could not be read now.
            Untrusted, UnexpectedAnswer: the server is not set up for anonymous readers.
        """
        name = name_at(where, self.public_base_url or self.directory.as_uri())
        if self.public_base_url is not None:
            return read_public(self.url(name), progress=progress)
        path = self._bucket.path(name)
        if not path.is_file():
            raise missing(self.url(name))
        with refusals_of_the_bucket():
            return ReadBack(sha256_of_file(path, stage="read back", progress=progress), path.stat().st_size)

    def list(self, prefix: str) -> list[str]:
        """Return the names that start with a prefix, sorted."""
        return self._bucket.list(prefix)

    def close(self) -> None:
        """Give back what is held open: nothing."""

    def _require_equal(self, name: str, sha256: str, progress: Progress) -> int:
        path = self._bucket.path(name)
        found = sha256_of_file(path, stage="compare with what is published", progress=progress)
        if found != sha256:
            raise ObjectConflict(self.url(name), found=found, expected=sha256)
        return path.stat().st_size
