"""A large object's way into a bucket of S3, part after part; what a killed writer sent is not sent again.

The service keeps the parts of an upload that was begun, and tells their MD5 as entity-tags. Which upload it was is
noted on this host, by the bytes' digest: an upload of somebody else's has that one's digest as metadata. A later run
goes on with it, and passes over the parts that are there with the right tag. The completion lists the tags of all
parts of the object, so that it is refused where somebody sent others.
An object that came in parts has an entity-tag that is no MD5 of its bytes; nothing here takes it for one.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
"""

import base64
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyops_assets.image.atomic_write import BeingWritten
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.private import make_private_directory
from resources.buckets.base import BucketUnavailable, Noted, Taken
from resources.buckets.proven_source import ProvenSource
from resources.buckets.s3_errors import CONFLICTS, S3Refused, asked
from resources.settings import write_private

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PART_BYTES = 64 << 20
_MOST_PARTS = 10_000
_UPLOADS = 3
"""How often an upload begins anew after the service lost it, or another writer completed or mixed it."""
_LOST = frozenset({"NoSuchUpload", "InvalidPart", "InvalidPartOrder"})


@dataclass
class _Upload:
    """An upload that was begun, and the MD5 (as the service quotes it) and size of each part that it has."""

    upload_id: str
    held: dict[int, tuple[str, int]]


class Parts:
    """The upload of one object.

    Args:
        client: with the rights of who writes.
        bucket: its name.
        name: of the object.
        part_bytes: of each part but the last; larger where the object would have too many.
        notes: directory in which is noted which uploads were begun; None where none is gone on with.
    """

    def __init__(self, client: "S3Client", bucket: str, name: str, part_bytes: int, notes: Path | None) -> None:
        self._client = client
        self._notes = notes
        self._where: Any = {"Bucket": bucket, "Key": name}
        self._url = f"s3://{bucket}/{name}"
        self._part_bytes = part_bytes
        self._sent: dict[int, int] = {}

    @property
    def bytes_sent(self) -> int:
        """What was sent of the object; a part that went twice counts once, one that was there does not."""
        return sum(self._sent.values())

    def create(self, source: ProvenSource, noted: Noted, is_taken: Callable[[str], bool]) -> None:
        """Create the object where its name is free.

        Args:
            source: its bytes.
            noted: what stands beside them.
            is_taken: tells whether there is an object of this name.

        Raises:
            Taken: the name is not free. After a lost answer that may be our own success.
            DigestMismatch: the source is not what was promised; no object exists.
            BucketUnavailable: the service lost the upload three times.
            NotPermitted, BucketFailed.
        """
        for attempt in range(_UPLOADS):
            try:
                asked(f"publish {self._url}", lambda first=not attempt: self._send(source, noted, go_on=first))
            except S3Refused as refused:
                taken = refused.status == 412 or (
                    (refused.code in _LOST or refused.code in CONFLICTS) and is_taken(self._where["Key"])
                )
                if taken:
                    raise Taken(self._url, bytes_sent=self.bytes_sent) from refused
                if refused.code not in _LOST and refused.code not in CONFLICTS:
                    raise
            else:
                return
        raise BucketUnavailable(f"the upload of {self._url} was lost {_UPLOADS} times", hint="run again")

    def _send(self, source: ProvenSource, noted: Noted, *, go_on: bool) -> None:
        size = max(self._part_bytes, -(-source.size_bytes // _MOST_PARTS))
        note = self._note(noted)
        upload = (self._begun(note) if go_on else None) or self._begin(note, noted)
        tags: list[Any] = []
        source.seek(0)
        for number in range(1, -(-source.size_bytes // size) + 1):
            tags.append({"PartNumber": number, "ETag": self._part(upload, number, source.read(size))})
        try:
            self._client.complete_multipart_upload(
                **self._where, UploadId=upload.upload_id, MultipartUpload={"Parts": tags}, IfNoneMatch="*"
            )
        except self._client.exceptions.ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412:
                # It can never be completed. That it is forgotten already is as good.
                with suppress(self._client.exceptions.ClientError):
                    self._client.abort_multipart_upload(**self._where, UploadId=upload.upload_id)
                _forget(note)
            raise
        _forget(note)

    def _part(self, upload: _Upload, number: int, content: bytes) -> str:
        """Return the tag of a part that is there, sent now or before."""
        md5 = hashlib.md5(content, usedforsecurity=False)
        tag = f'"{md5.hexdigest()}"'
        if upload.held.get(number) == (tag, len(content)):
            return tag
        sent = self._client.upload_part(
            **self._where,
            UploadId=upload.upload_id,
            PartNumber=number,
            Body=content,
            ContentMD5=base64.b64encode(md5.digest()).decode(),
        )
        self._sent[number] = len(content)
        return sent["ETag"]

    def _begin(self, note: Path | None, noted: Noted) -> _Upload:
        begun = self._client.create_multipart_upload(
            **self._where,
            ContentType=noted.content_type,
            CacheControl=noted.cache_control,
            Metadata={**(noted.metadata or {}), "sha256": noted.sha256},
        )
        if note is not None:
            make_private_directory(note.parent)
            # Another run of the same bytes notes its own at this moment: one of them is gone on with.
            with suppress(BeingWritten):
                write_private(note, begun["UploadId"].encode())
        return _Upload(begun["UploadId"], {})

    def _begun(self, note: Path | None) -> _Upload | None:
        """Return the upload of these bytes that a run of this host began; None where the service knows none."""
        if note is None or not note.is_file():
            return None
        upload_id = note.read_text().strip()
        pages: Any = self._client.get_paginator("list_parts").paginate(**self._where, UploadId=upload_id)
        try:
            parts = [one for page in pages for one in page.get("Parts", [])]
        except self._client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _LOST:
                raise
            return None
        return _Upload(upload_id, {int(one["PartNumber"]): (str(one["ETag"]), int(one["Size"])) for one in parts})

    def _note(self, noted: Noted) -> Path | None:
        """Return where it is noted which upload these bytes, under this name and with these facts, are on."""
        said = repr((self._url, noted.sha256, noted.content_type, sorted((noted.metadata or {}).items())))
        return self._notes / sha256_of_bytes(said.encode()) if self._notes else None


def _forget(note: Path | None) -> None:
    if note is not None:
        note.unlink(missing_ok=True)
