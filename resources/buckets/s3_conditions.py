"""Which requests of an S3 service are conditional, tried out on an object of known content.

Services differ, and say nothing of it: an older one takes `If-None-Match` for a header that it need not know, and
replaces what is there. So each kind of condition is tried with one that does not hold, and counts only if it is
refused. Wherever a condition is ignored, the object's bytes are replaced by the same bytes.
"""

import base64
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from hyops_assets.contract.urls import PREFIX
from hyops_assets.image.digests import sha256_of_bytes
from resources.buckets.base import BucketFailed, ObjectHead
from resources.buckets.s3_errors import CONFLICTS, S3Refused, asked

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PROBE_NAME = f"{PREFIX}/conditional-write-check.txt"
PROBE = b"Written to find out whether this bucket creates a name once.\n"
PROBE_SHA256 = sha256_of_bytes(PROBE)
_NO_TAG = '"00000000000000000000000000000000"'
TagForm = Callable[[str], str]
"""Makes of an entity-tag, as a service gave it, what the service compares."""


def _as_given(tag: str) -> str:
    return tag


def _without_quotes(tag: str) -> str:
    # Ceph's gateway up to 18 compares If-Match of a PUT with the tag as it is stored.
    return tag.strip('"')


_FORMS: tuple[TagForm, ...] = (_as_given, _without_quotes)
_NOT_SERVED = frozenset({"NotImplemented", "InvalidRequest", "InvalidArgument"})


class NotConditional(BucketFailed):
    """The bucket replaces what is there, whatever condition it is given: names would not be created once."""


class Conditions:
    """What was found out of one bucket, each at its first use.

    Args:
        client: with the rights of who writes.
        bucket: its name.
        head: looks up an object.
    """

    def __init__(self, client: "S3Client", bucket: str, head: Callable[[str], ObjectHead | None]) -> None:
        self._client = client
        self._bucket = bucket
        self._head = head

    def require_creation(self) -> None:
        """Refuse a bucket that does not create a name once.

        Raises:
            NotConditional: it does not.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        if not self._creation:
            raise self._refusal("If-None-Match: *")

    def require_swap(self) -> TagForm:
        """Return how the bucket reads a tag; refuse one that does not compare before it replaces.

        Raises:
            NotConditional: it does not.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        self.require_creation()
        if self._swap is None:
            raise self._refusal("If-Match")
        return self._swap

    @cached_property
    def completion(self) -> bool:
        """Whether an upload in parts creates a name once: its completion is refused where the name is taken."""
        self.require_creation()
        where: Any = {"Bucket": self._bucket, "Key": PROBE_NAME}

        def completed() -> bool:
            # The same metadata: where the condition is ignored, no reader sees a difference.
            upload: Any = {
                **where,
                "UploadId": self._client.create_multipart_upload(**where, **_about())["UploadId"],
            }
            tag = self._client.upload_part(**upload, PartNumber=1, Body=PROBE)["ETag"]
            parts: Any = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
            try:
                self._client.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
            except BaseException:
                self._client.abort_multipart_upload(**upload)
                raise
            return True

        return self._is_refused(completed)

    @cached_property
    def _creation(self) -> bool:
        held = self._head(PROBE_NAME)
        if held is not None and (held.size_bytes, held.noted and held.noted.sha256) != (len(PROBE), PROBE_SHA256):
            raise BucketFailed(
                f"s3://{self._bucket}/{PROBE_NAME} has other bytes than are written there to try the bucket out",
                hint="find out who writes into this bucket, and remove that object",
            )
        if held is None:
            # Another host may be faster: then it is refused, and is there.
            self._is_refused(lambda: self._put(IfNoneMatch="*"))
        return self._is_refused(lambda: self._put(IfNoneMatch="*"))

    @cached_property
    def _swap(self) -> TagForm | None:
        if self._outcome(lambda: self._put(IfMatch=_NO_TAG)) != "refused":
            return None
        held = self._head(PROBE_NAME)
        tag = held.tag if held else ""
        for form in _FORMS:
            # Only a condition that holds tells whether the service reads the tag that it gave.
            if self._outcome(lambda form=form: self._put(IfMatch=form(tag))) == "done":
                return form
        return None

    def _put(self, **condition: Any) -> None:
        digest = base64.b64encode(bytes.fromhex(PROBE_SHA256)).decode()
        self._client.put_object(
            Bucket=self._bucket, Key=PROBE_NAME, Body=PROBE, ChecksumSHA256=digest, **_about(), **condition
        )

    def _is_refused(self, work: Callable[[], object]) -> bool:
        """Tell whether a request with a condition that does not hold is refused for it."""
        return self._outcome(work) == "refused"

    def _outcome(self, work: Callable[[], object]) -> Literal["done", "refused", "not served"]:
        """Return what becomes of a request with a condition.

        Raises:
            BucketUnavailable: the service does not answer.
            NotPermitted, BucketFailed: it is refused for another reason.
        """
        try:
            asked(f"find out what s3://{self._bucket} does with a condition", work)
        except S3Refused as refused:
            if refused.status == 412 or refused.code in CONFLICTS:
                return "refused"
            if refused.status == 501 or (refused.status == 400 and refused.code in _NOT_SERVED):
                return "not served"
            raise
        return "done"

    def _refusal(self, header: str) -> NotConditional:
        return NotConditional(
            f"s3://{self._bucket} ignores {header}: a published name could be written twice, and the last writer wins",
            hint="use a service with conditional writes (Hetzner Object Storage, Amazon S3, Ceph's gateway), or a "
            "directory behind a web server",
        )


def _about() -> Any:
    return {"ContentType": "text/plain", "CacheControl": "no-store", "Metadata": {"sha256": PROBE_SHA256}}
