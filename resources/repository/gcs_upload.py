"""One object's way into a bucket, with Google's client: created or not at all.

Up to 8 MiB travel in one request, more in a resumable upload: chunk after chunk, repeated by the client where a
connection breaks, checked by the service against the CRC32C that comes with the last chunk
(https://cloud.google.com/storage/docs/performing-resumable-uploads).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from hyops_assets.contract.progress import Progress
from resources.buckets.proven_source import ProvenSource
from resources.repository.gcs_errors import SessionLost, asked, worth_another_try

FOREVER = "public, max-age=31536000, immutable"
CHUNK_BYTES = 96 << 20
_UPLOADS = 3
"""How often an upload begins anew after the service lost its session."""


@dataclass(frozen=True)
class Patience:
    """How long the service may take.

    Attributes:
        deadline_seconds: for one request with all its repetitions; of a resumable upload, for one chunk.
        first_delay_seconds: before the first repetition; it doubles from there, up to a minute.
        answer_seconds: for the connection, and between two packets of an answer.
    """

    deadline_seconds: float = 300.0
    first_delay_seconds: float = 1.0
    answer_seconds: float = 60.0

    def arguments(self) -> dict[str, Any]:
        """Return what a call of Google's client takes for it."""
        retry = DEFAULT_RETRY.with_predicate(worth_another_try).with_timeout(self.deadline_seconds)
        return {"retry": retry.with_delay(initial=self.first_delay_seconds), "timeout": self.answer_seconds}


@dataclass(frozen=True)
class Noted:
    """What is written beside the bytes."""

    sha256: str
    content_type: str
    metadata: Mapping[str, str]
    cache_control: str = FOREVER


class _NeverDeleted(storage.Blob):
    """A blob whose deletion does nothing.

    Where the checksum of a finished upload differs, Google's client deletes the object by its name, whatever stands
    there by then. What is published is not ours to remove; wrong bytes are found at the next comparison.
    """

    def delete(self, *_: Any, **__: Any) -> None:
        """Leave the object where it is."""


def upload(
    bucket: storage.Bucket,
    name: str,
    source: ProvenSource,
    noted: Noted,
    *,
    call: Mapping[str, Any],
    chunk_bytes: int = CHUNK_BYTES,
    progress: Progress,
) -> None:
    """Create an object where its name is free.

    Args:
        bucket: with a client that has the right to create.
        name: of the object.
        source: its bytes.
        noted: what stands beside them; the digest as metadata `sha256`.
        call: from `Patience.arguments`.
        chunk_bytes: of a large object, how much travels at a time; whole 256 KiB.
        progress: called when the upload begins anew, besides what `source` reports.

    Raises:
        Taken: the name is not free. After a lost answer that may be our own success.
        SessionLost: the service lost the upload three times.
        DigestMismatch: the source is not what was promised; no object exists.
        Unavailable, NotThere, NotPermitted, Damaged, RepositoryFailed: see `asked`.
    """
    for left in reversed(range(_UPLOADS)):
        blob = _NeverDeleted(name, bucket, chunk_size=chunk_bytes)
        blob.cache_control = noted.cache_control
        blob.metadata = {**noted.metadata, "sha256": noted.sha256}
        source.seek(0)
        try:
            asked(f"publish gs://{bucket.name}/{name}", lambda blob=blob: _send(blob, source, noted, call))
        except SessionLost:
            if not left:
                raise
            progress("publish", 0, source.size_bytes)
        else:
            return


def _send(blob: storage.Blob, source: ProvenSource, noted: Noted, call: Mapping[str, Any]) -> None:
    try:
        blob.upload_from_file(
            source,
            size=source.size_bytes,
            content_type=noted.content_type,
            if_generation_match=0,
            checksum="crc32c",
            **call,
        )
    except ValueError as error:
        if source.tell() == 0 or "Bytes stream is in unexpected state" not in str(error):
            raise
        # How the client notices that the service kept less of a chunk than it was sent.
        raise SessionLost(
            f"the upload of {blob.name} cannot go on: {error}", hint="run again: the upload starts anew"
        ) from error
