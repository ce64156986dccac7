"""An object repository in a bucket of an S3 service.

What is created is on the condition that the name is free, which the bucket proves first (`resources/buckets/s3.py`).
Anonymous readers read below the public base URL: the bucket's own, or of what stands in front of it.
"""

from collections.abc import Mapping
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import public_url
from hyops_assets.image.digests import sha256_of_bytes, sha256_of_file
from hyops_assets.settings.repository import RepositorySettings
from resources.buckets.base import BucketUnavailable, Noted, ObjectHead, Taken
from resources.buckets.create_only import DigestMismatch
from resources.buckets.names import require_object_name
from resources.buckets.s3 import S3Bucket
from resources.buckets.s3_client import s3_client
from resources.repository.anonymous import read_or_missing, read_public
from resources.repository.base import (
    NotPublic,
    ObjectConflict,
    ObjectFacts,
    Published,
    ReadBack,
    facts_of,
    name_at,
    refusals_of_the_bucket,
)
from resources.repository.marker import MARKER, MARKER_NAMES, MARKER_SHA256, MARKER_TYPE, place_marker, require_marker


class S3Repository:
    """Immutable objects in one bucket.

    Args:
        bucket: that they are in.
        public_base_url: the URL that anyone reads the bucket under.
    """

    def __init__(self, bucket: S3Bucket, public_base_url: str) -> None:
        self.bucket = bucket.name
        self.public_base_url = public_base_url
        self._bucket = bucket
        self._proven_public = False

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()

    def url(self, name: str) -> str:
        """Return the URL under which anyone reads an object of this name, there or not."""
        return public_url(self.public_base_url, require_object_name(name))

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

        Nothing is sent into a bucket before it proved to be public and to create a name once.

        Raises:
            BadObjectName: the name is none.
            DigestMismatch: the source's bytes do not have this SHA-256.
            ObjectConflict: the name is taken by other bytes.
            NotPublic: anonymous readers could not read it.
            BucketUnavailable: the service did not take it in time.
            RepositoryFailed: it refuses: no such bucket, no right to write, no conditional writes.
        """
        with refusals_of_the_bucket():
            held = self._bucket.head(name)
            if held is not None:
                return self._adopted(held, source, sha256, progress, sent=0)
            if not self._proven_public:
                self.require_public()
            try:
                sent = self._bucket.create(name, source, Noted(sha256, content_type, metadata), progress=progress)
            except Taken as taken:
                # Someone else was faster, or the answer to our own success was lost.
                held = self._bucket.head(name)
                if held is None:
                    raise BucketUnavailable(
                        f"{self.url(name)} was taken a moment ago and is free now", hint="run again"
                    ) from taken
                return self._adopted(held, source, sha256, progress, sent=taken.bytes_sent)
        return Published(self.url(name), "created", sent, sent)

    def require_public(self) -> None:
        """Find out, before gigabytes are sent, whether names are created once here, and can be read by anyone.

        Raises:
            NotPublic: they cannot be read; the hint has what opens the bucket.
            MarkerNamesTaken: other bytes have every name of the object that would prove it.
            RepositoryFailed: there is no such bucket, it replaces what is there, or the key may not write to it.
        """
        with refusals_of_the_bucket():
            name = place_marker(self._place_marker)
        try:
            require_marker(self.url(name))
        except NotPublic as error:
            raise NotPublic(error.message, hint=self._how_to_open()) from error
        self._proven_public = True

    def require_ready(self) -> None:
        """Find out, without writing anything, whether the bucket is there and the key is accepted.

        What S3 does not tell (whether the key may write, whether writes are conditional) is left to `require_public`.

        Raises:
            RepositoryFailed: it is not there, or the key is not accepted.
        """
        with refusals_of_the_bucket():
            self._bucket.head(MARKER_NAMES[0])

    def head(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object, or None where there is none.

        Raises:
            RepositoryFailed: the service does not tell.
            BucketUnavailable: it does not answer.
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
            Untrusted, UnexpectedAnswer: the bucket is not open to anonymous readers.
        """
        name = name_at(where, self.public_base_url)
        return read_or_missing(self.url(name), lambda: self.head(name), progress=progress)

    def list(self, prefix: str) -> list[str]:
        """Return the names that start with a prefix, sorted.

        Raises:
            RepositoryFailed: the key may not list.
            BucketUnavailable: the service does not answer.
        """
        with refusals_of_the_bucket():
            return self._bucket.list(prefix)

    def _place_marker(self, name: str) -> None:
        # Not to be cached: a copy in front could be read although anonymous readers are shut out by now.
        noted = Noted(MARKER_SHA256, MARKER_TYPE, {}, cache_control="no-store")
        held = self._bucket.head(name)
        if held is None:
            try:
                self._bucket.create(name, MARKER, noted)
            except Taken:
                held = self._bucket.head(name)
        else:
            self._bucket.require_conditional()
        if held is not None:
            self._adopted(held, MARKER, MARKER_SHA256, silent, sent=0)

    def _adopted(
        self, held: ObjectHead, source: Path | bytes, sha256: str, progress: Progress, *, sent: int
    ) -> Published:
        """Take what is there for what would be published, if it is: by size and the SHA-256 noted beside it.

        Where nothing is noted, as of an object put there by hand, the bytes are read back and hashed.
        """
        expected = _of_source(source, sha256)
        url = self.url(held.name)
        noted = held.noted.sha256 if held.noted else None
        if noted is None and held.size_bytes == expected:
            noted = read_public(url, progress=progress).sha256
        if (held.size_bytes, noted) != (expected, sha256):
            raise ObjectConflict(
                url,
                found=f"{noted or '(not noted)'} ({held.size_bytes} bytes)",
                expected=f"{sha256} ({expected} bytes)",
            )
        return Published(url, "adopted", held.size_bytes, sent)

    def _how_to_open(self) -> str:
        policy = (
            '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",'
            f'"Resource":"arn:aws:s3:::{self.bucket}/*"}}]}}'
        )
        return (
            f"let anyone read objects: aws s3api put-bucket-policy --bucket {self.bucket} --policy '{policy}' (with "
            "--endpoint-url; at Amazon, lift the block of public access first), and see that it is read below "
            f"{self.public_base_url} (repository.public_base_url)"
        )


def _of_source(source: Path | bytes, sha256: str) -> int:
    """Return the size of a source that is what was promised.

    Raises:
        DigestMismatch: it is not.
    """
    found = sha256_of_bytes(source) if isinstance(source, bytes) else sha256_of_file(source)
    if found != sha256:
        raise DigestMismatch(
            f"{'the bytes given' if isinstance(source, bytes) else source} have sha256 {found}, not {sha256}",
            hint="something changed the file since it was hashed: check the disk, then build it again",
        )
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def s3_repository(settings: RepositorySettings, environ: Mapping[str, str], *, notes: Path) -> S3Repository:
    """Return the repository in the bucket of some settings. Nothing is asked of the service yet.

    That there are no credentials (NoCredentials) is said when they are first needed: who only reads what is published
    needs none.

    Args:
        settings: of kind `s3`.
        environ: holds a key, or names a profile of AWS' own tools.
        notes: directory in which is noted which uploads were begun.
    """
    bucket = S3Bucket(
        lambda: s3_client(settings.endpoint, settings.region, environ), str(settings.bucket), notes=notes
    )
    return S3Repository(bucket, settings.s3_base_url)
