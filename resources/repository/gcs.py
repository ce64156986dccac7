"""An object repository in a bucket of Google Cloud Storage.

Objects are created on the condition that the name is free (`ifGenerationMatch=0`), which the service judges when the
last byte has come; a resumable upload that ends before leaves nothing that anyone sees. Its session is known to
Google's client alone and kept nowhere: a later run starts a new one, and the service forgets the old one in a week.

Which rights it takes: `roles/storage.objectCreator` to publish, and that anyone may read. With
`roles/storage.objectViewer` besides, `list` works and an absent object is known from an unreadable one. Nothing is
ever removed, so no right to remove is needed (https://cloud.google.com/storage/docs/access-control/iam-roles).
"""

import base64
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from google.cloud import storage

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import public_url
from hyops_assets.settings.object_repo import PUBLIC_ENDPOINT
from resources.buckets.names import require_object_name
from resources.buckets.proven_source import ProvenSource, proven
from resources.repository.anonymous import read_or_missing, read_public
from resources.repository.base import (
    NotPublic,
    ObjectConflict,
    ObjectFacts,
    Published,
    ReadBack,
    RepositoryFailed,
    name_at,
)
from resources.repository.gcs_errors import NotPermitted, NotThere, NotVisible, Taken, Unavailable, asked
from resources.repository.gcs_upload import CHUNK_BYTES, Noted, Patience, upload
from resources.repository.marker import MARKER, MARKER_NAMES, MARKER_SHA256, MARKER_TYPE, place_marker, require_marker

_NEVER = "no-store"


class GcsRepository:
    """Immutable objects in one bucket.

    Args:
        connect: returns Google's client with the credentials that publish. Called once, when they are first needed:
            who only reads needs none.
        anonymous: Google's client without credentials.
        bucket: the bucket's name.
        public_base_url: the URL that anyone reads the bucket under; the service's own where None.
        principal: the e-mail address of the publishing account, for hints.
        patience: how long the service may take.
        chunk_bytes: how much of a large object is sent, and may have to be sent again, at a time; whole 256 KiB.
    """

    def __init__(
        self,
        connect: Callable[[], storage.Client],
        anonymous: storage.Client,
        bucket: str,
        *,
        public_base_url: str | None = None,
        principal: str | None = None,
        patience: Patience | None = None,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.bucket = bucket
        self.public_base_url = public_base_url or f"{PUBLIC_ENDPOINT}/{bucket}"
        self._connect = connect
        self._anonymous = anonymous
        self._principal = principal
        self._chunk_bytes = chunk_bytes
        self._call = (patience or Patience()).arguments()
        self._proven_public = False
        self._bucket_is_there = False

    def close(self) -> None:
        """Close the connections."""
        self._anonymous.close()
        if "_client" in vars(self):
            self._client.close()

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

        Nothing is sent into a bucket before it proved to be public, once for each repository.

        Raises:
            BadObjectName: the name is none.
            DigestMismatch: the source's bytes do not have this SHA-256.
            ObjectConflict: the name is taken by other bytes.
            NotPublic: anonymous readers could not read it.
            Unavailable: the service did not take it in time.
            RepositoryFailed: it refuses: no such bucket, no right to write, credentials that are not accepted.
        """
        require_object_name(name)
        try:
            held = self._find(name)
        except NotVisible:
            # Only the upload itself tells then whether the name is free.
            held = None
        if held is not None:
            self._require_equal(held, source, sha256, progress)
            return Published(self.url(name), "adopted", int(held.size or 0), 0)
        if not self._proven_public:
            self.require_public()
        return self._create(name, source, Noted(sha256, content_type, metadata), progress)

    def require_public(self) -> None:
        """Find out, before gigabytes are sent, whether what is created here can be read by anyone.

        Raises:
            NotPublic: it cannot; the hint has the commands that change it.
            RepositoryFailed: there is no such bucket, or the credentials may not write to it; likewise.
        """
        url = self.url(MARKER_NAMES[0])
        # Not to be cached: a copy at Google's edge could be read although anonymous readers are shut out by now.
        noted = Noted(MARKER_SHA256, MARKER_TYPE, {}, cache_control=_NEVER)
        try:
            url = self.url(place_marker(lambda name: self._create(name, MARKER, noted, silent)))
            require_marker(url)
        except NotVisible as error:
            raise NotPublic(f"anonymous readers cannot read {url}", hint=self._how_to_open()) from error
        except NotPublic as error:
            raise NotPublic(error.message, hint=self._how_to_open()) from error
        self._proven_public = True

    def require_ready(self) -> None:
        """Find out, without writing anything, whether the bucket is there, can be added to and is open to readers.

        A `public_base_url` of its own may be served by something else than the bucket's policy: then it is not asked.

        Raises:
            NotPublic: anonymous readers may not read; the hint has the commands that change it.
            NotPermitted: the credentials may not add objects; likewise.
            RepositoryFailed: there is no such bucket, or the credentials are not accepted; likewise.
        """
        if not self._allowed(self._client, "storage.objects.create"):
            raise NotPermitted(
                f"the credentials may not add objects to gs://{self.bucket}", hint=self._grant("objectCreator")
            )
        own = self.public_base_url.endswith(f"/{self.bucket}")
        if own and not self._allowed(self._anonymous, "storage.objects.get"):
            raise NotPublic(f"anonymous readers may not read what is in gs://{self.bucket}", hint=self._how_to_open())

    def _allowed(self, client: storage.Client, permission: str) -> bool:
        bucket = client.bucket(self.bucket)
        try:
            held = asked(
                f"ask for the right {permission} in gs://{self.bucket}",
                lambda: list(bucket.test_iam_permissions([permission], **self._call)),
            )
        except NotThere as error:
            raise self._no_bucket(error) from error
        except NotPermitted:
            # To an anonymous reader the service may refuse to say even that.
            return False
        return permission in held

    def head(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object, or None where there is none.

        Raises:
            NotVisible: neither the credentials nor an anonymous reader may know whether it is there.
            Unavailable, RepositoryFailed: the service does not tell.
        """
        blob = self._find(require_object_name(name))
        if blob is None:
            return None
        metadata = dict(blob.metadata or {})
        return ObjectFacts(
            name=name,
            url=self.url(name),
            size_bytes=int(blob.size or 0),
            sha256=metadata.pop("sha256", None),
            content_type=blob.content_type,
            metadata=metadata,
        )

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
            NotPermitted: the credentials may not list (roles/storage.objectViewer).
            Unavailable, RepositoryFailed: the service does not tell.
        """
        try:
            found = asked(
                f"list the objects of gs://{self.bucket}",
                lambda: [str(blob.name) for blob in self._client.list_blobs(self.bucket, prefix=prefix, **self._call)],
            )
        except NotThere as error:
            raise self._no_bucket(error) from error
        return sorted(found)

    @cached_property
    def _client(self) -> storage.Client:
        return self._connect()

    def _find(self, name: str) -> storage.Blob | None:
        """Return an object with what is noted of it: as the account sees it, or where that may not, anonymously."""
        purpose = f"look up gs://{self.bucket}/{name}"
        for client in (self._client, self._anonymous):
            blob = client.bucket(self.bucket).blob(name)
            try:
                asked(purpose, lambda blob=blob: blob.reload(**self._call))
            except NotPermitted:
                continue
            except NotThere:
                # The service answers 404 for either, in words of its own: the bucket itself is asked for.
                self._require_bucket()
                return None
            self._bucket_is_there = True
            return blob
        raise NotVisible(
            f"could not {purpose}: the credentials may not, and anonymous readers may not either",
            hint=self._grant("objectViewer"),
        )

    def _require_bucket(self) -> None:
        """See that there is a bucket, once. Which rights one has there may be asked without any right."""
        if not self._bucket_is_there:
            self._allowed(self._client, "storage.objects.create")
            self._bucket_is_there = True

    def _create(self, name: str, source: Path | bytes, noted: Noted, progress: Progress) -> Published:
        with proven(source, noted.sha256, progress) as stream:
            try:
                self._upload(name, stream, noted, progress)
            except Taken as error:
                # Someone else was faster, or the answer to our own success was lost.
                held = self._find(name)
                if held is None:
                    raise Unavailable(
                        f"{self.url(name)} was taken a moment ago and is free now", hint="run again"
                    ) from error
                self._require_equal(held, source, noted.sha256, progress)
                return Published(self.url(name), "adopted", stream.size_bytes, stream.bytes_read)
            progress("publish", stream.size_bytes, stream.size_bytes)
            return Published(self.url(name), "created", stream.size_bytes, stream.bytes_read)

    def _upload(self, name: str, stream: ProvenSource, noted: Noted, progress: Progress) -> None:
        bucket = self._client.bucket(self.bucket)
        try:
            upload(bucket, name, stream, noted, call=self._call, chunk_bytes=self._chunk_bytes, progress=progress)
        except NotThere as error:
            raise self._no_bucket(error) from error
        except NotPermitted as error:
            raise NotPermitted(error.message, hint=self._grant("objectCreator")) from error

    def _require_equal(self, held: storage.Blob, source: Path | bytes, sha256: str, progress: Progress) -> None:
        """Refuse an object that is not what would be published: by size, CRC32C and the SHA-256 noted beside it.

        Where nothing is noted, as of an object put there by hand, the bytes are read back and hashed.
        """
        with proven(source, sha256) as stream:
            expected = (stream.size_bytes, base64.b64encode(stream.crc32c().to_bytes(4, "big")).decode())
        found = (int(held.size or 0), str(held.crc32c))
        noted = (held.metadata or {}).get("sha256")
        url = self.url(str(held.name))
        if found == expected and noted is None:
            noted = read_public(url, progress=progress).sha256
        if (found, noted) != (expected, sha256):
            raise ObjectConflict(
                url,
                found=f"{noted or '(not noted)'} ({found[0]} bytes, crc32c {found[1]})",
                expected=f"{sha256} ({expected[0]} bytes, crc32c {expected[1]})",
            )

    def _no_bucket(self, error: NotThere) -> RepositoryFailed:
        return RepositoryFailed(
            error.message,
            hint=f"gcloud storage buckets create gs://{self.bucket} --location=EU --uniform-bucket-level-access",
        )

    def _grant(self, role: str) -> str:
        member = f"serviceAccount:{self._principal}" if self._principal else "serviceAccount:<who publishes>"
        return _binding(self.bucket, member, role)

    def _how_to_open(self) -> str:
        """Return the commands that let anyone read; whether access is prevented is asked where that is allowed."""
        # Not objectViewer: that lets anonymous readers list, too.
        opened = _binding(self.bucket, "allUsers", "legacyObjectReader")
        lifted = f"gcloud storage buckets update gs://{self.bucket} --no-public-access-prevention"
        bucket = self._client.bucket(self.bucket)
        try:
            asked(f"look at gs://{self.bucket}", lambda: bucket.reload(**self._call))
        except NotPermitted:
            return f"{opened} (where public access is prevented, first: {lifted})"
        if bucket.iam_configuration.public_access_prevention == "enforced":
            return f"{lifted}, then {opened}"
        return opened


def _binding(bucket: str, member: str, role: str) -> str:
    return f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={member} --role=roles/storage.{role}"
