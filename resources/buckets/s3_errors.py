"""What botocore raises, as errors that say what to do: the request's purpose, and the service's own words.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; Ceph's gateway uses the same ones.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from botocore import exceptions

from hyops_assets.contract.errors import HyopsError
from resources.answers import Untrusted
from resources.buckets.base import BucketFailed, BucketUnavailable, NotPermitted

Result = TypeVar("Result")

CONFLICTS = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Two writers at once: the request may be made again (409)."""
_LATER = frozenset({"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "XAmzContentSHA256Mismatch"})
_ELSEWHERE = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "IllegalLocationConstraintException",
        # What is malformed is the region that the request was signed for.
        "AuthorizationHeaderMalformed",
    }
)
_BROKEN = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError)
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_SKEW_SECONDS = 300.0
"""From here on a refusal mentions the clocks; S3 itself minds from 15 minutes on."""


class S3Refused(BucketFailed):
    """An answer that is an error. `code` is the service's word for it; of a HEAD, which has no words, the status."""

    def __init__(self, message: str, *, hint: str, status: int, code: str, attempts: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.attempts = attempts


class S3NotPermitted(S3Refused, NotPermitted):
    """401 or 403."""


def asked(purpose: str, work: Callable[[], Result]) -> Result:
    """Do a piece of work with botocore and return its result.

    Args:
        purpose: what it is for, to end the sentence "could not …".
        work: calls the client.

    Raises:
        S3Refused, S3NotPermitted: as the service answered.
        BucketUnavailable: it cannot be reached, or says 429 or 5xx until the client gave up.
        Untrusted: its certificate does not verify.
        BucketFailed: credentials or a profile that cannot be used.
    """
    try:
        return work()
    except (exceptions.BotoCoreError, exceptions.ClientError) as error:
        failure = _translated(purpose, error)
    # Outside of the handler: what is raised there keeps the library's exception, and the request in it.
    raise failure


def _translated(purpose: str, error: exceptions.BotoCoreError | exceptions.ClientError) -> HyopsError:
    if isinstance(error, exceptions.ClientError):
        return _refused(purpose, dict(error.response))
    why = " ".join(str(error).split())
    if isinstance(error, exceptions.SSLError):
        return Untrusted(
            f"could not {purpose}: {why}", hint="for a private authority, set AWS_CA_BUNDLE to a bundle with it"
        )
    if isinstance(error, _BROKEN):
        return BucketUnavailable(
            f"could not {purpose}: {why}", hint="check endpoint, network and proxy, then try again"
        )
    return BucketFailed(
        f"could not {purpose}: {why}", hint="check AWS_PROFILE and the files that it names, or set AWS_ACCESS_KEY_ID"
    )


def _refused(purpose: str, response: dict[str, Any]) -> HyopsError:
    about = response.get("ResponseMetadata", {})
    said = response.get("Error", {})
    status = int(about.get("HTTPStatusCode", 0))
    code = str(said.get("Code", "") or status)
    attempts = 1 + int(about.get("RetryAttempts", 0))
    headers: dict[str, str] = about.get("HTTPHeaders", {})
    words = " ".join(str(said.get("Message") or "").split())[:500]
    sentence = f"could not {purpose}: the service answers {status} {code}{f': {words}' if words else ''}"
    if code in _LATER or code in CONFLICTS or status in (408, 429) or status in (500, 502, 503, 504):
        if code not in CONFLICTS:
            return BucketUnavailable(sentence, hint="try again later")
        return S3Refused(sentence, hint="run again", status=status, code=code, attempts=attempts)
    if (region := _other_region(code, status, headers, said)) is not None:
        hint = f"set repository.region{f' to {region}' if region else ''}, and the endpoint of that region"
        return S3Refused(f"{sentence}; the bucket is in another region", hint=hint, status=status, code=code)
    if status in (401, 403):
        return _not_permitted(sentence, status, code, headers, attempts)
    hint = "look at the bucket's settings; the sentence is the service's own"
    return S3Refused(sentence, hint=hint, status=status, code=code, attempts=attempts)


def _other_region(code: str, status: int, headers: dict[str, str], said: dict[str, Any]) -> str | None:
    """Return where the bucket is, empty where that is not said; None where the answer is about something else."""
    named = str(said.get("Region") or headers.get("x-amz-bucket-region") or "")
    if code in _ELSEWHERE or status in (301, 307):
        return named
    return None


def _not_permitted(sentence: str, status: int, code: str, headers: dict[str, str], attempts: int) -> S3NotPermitted:
    skew = _skew(headers)
    if code in _CLOCK or skew > _SKEW_SECONDS:
        sentence += f"; this host's clock and the service's differ by {skew:.0f} s"
        hint = "set this host's clock (chronyc tracking, timedatectl)"
    elif code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        hint = "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY again, both of one key of this service"
    elif code == "QuotaExceeded":
        hint = "raise the quota of the bucket or of its owner"
    else:
        hint = "give the key s3:PutObject, s3:GetObject and s3:ListBucket on the bucket"
    return S3NotPermitted(sentence, hint=hint, status=status, code=code, attempts=attempts)


def _skew(headers: dict[str, str]) -> float:
    """Return by how many seconds the service's clock differs from this host's; 0 where its answer has no date."""
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return 0.0
    if theirs.tzinfo is None:
        return 0.0
    return abs((datetime.now(UTC) - theirs).total_seconds())
