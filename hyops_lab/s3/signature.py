"""Whose request it is: AWS Signature Version 4 in the Authorization header, checked to the letter.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from hyops_lab.s3.answers import S3Error

MOST_SKEW_SECONDS = 900.0
UNSIGNED = "UNSIGNED-PAYLOAD"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_HEX = re.compile(r"[0-9a-f]{64}")


def signer(request: web.Request, keys: Mapping[str, str], now: float) -> tuple[str, str] | None:
    """Return the key and the region of who signed a request; None of an anonymous one.

    Args:
        request: as it came.
        keys: the secret of each key.
        now: the service's time.

    Raises:
        S3Error: 400 or 403.
    """
    given = request.headers.get("Authorization")
    if given is None:
        return None
    match = _AUTHORIZATION.fullmatch(given)
    if match is None:
        raise S3Error(400, "AuthorizationHeaderMalformed", "The authorization header is malformed.")
    key, day, region, signed, signature = match.groups()
    if key not in keys:
        raise S3Error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    stamp = request.headers.get("x-amz-date", "")
    _require_time(stamp, day, now)
    scope = f"{day}/{region}/s3/aws4_request"
    canonical = _canonical(request, signed.split(";"))
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    secret = f"AWS4{keys[key]}".encode()
    for part in (*scope.split("/"), text):
        secret = hmac.digest(secret, part.encode(), "sha256")
    if not hmac.compare_digest(secret.hex(), signature):
        raise S3Error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match yours.")
    return key, region


def require_body(request: web.Request, sha256: str) -> None:
    """Refuse a body that is not the one that was signed.

    Raises:
        S3Error: 400.
    """
    signed = request.headers.get("x-amz-content-sha256", UNSIGNED)
    if signed != UNSIGNED and signed != sha256:
        raise S3Error(400, "XAmzContentSHA256Mismatch", "The provided x-amz-content-sha256 does not match the body.")


def _require_time(stamp: str, day: str, now: float) -> None:
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise S3Error(403, "AccessDenied", "A valid x-amz-date is needed.") from error
    if abs(signed_at - now) > MOST_SKEW_SECONDS:
        raise S3Error(
            403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        )
    if not stamp.startswith(day):
        raise S3Error(400, "AuthorizationHeaderMalformed", "The credential's date is not that of x-amz-date.")


def _canonical(request: web.Request, signed: list[str]) -> str:
    payload = request.headers.get("x-amz-content-sha256", "")
    if payload != UNSIGNED and not _HEX.fullmatch(payload):
        raise S3Error(501, "NotImplemented", "Only whole payloads are served, signed or unsigned.")
    # What decides must be signed: a header in the middle of the way could be added otherwise.
    present = {name.lower() for name in request.headers if name.lower().startswith("x-amz-")} | {"host"}
    if not present <= set(signed):
        raise S3Error(403, "AccessDenied", "There were headers present in the request which were not signed")
    path, _, query = request.raw_path.partition("?")
    pairs = sorted(pair if "=" in pair else f"{pair}=" for pair in query.split("&") if pair)
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    return "\n".join((request.method, path, "&".join(pairs), headers, ";".join(signed), payload))
