"""botocore's client of one S3 service: whose rights it has, and an end for each of its exchanges.

Why botocore, and what of it is not used: docs/decisions/0025.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from botocore.config import Config
from botocore.exceptions import HTTPClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.inputs import S3_KEY_VARIABLES
from resources.bounded_requests import Moment, bounded_pools
from resources.buckets.s3_errors import asked
from resources.secrets import remember, require_proxies, secret

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

KEY_ID, KEY = S3_KEY_VARIABLES
TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the variable's name
_ANY_REGION = "us-east-1"
_ROLES_OF_A_HOST = ("container-role", "iam-role")
_TALKATIVE = ("botocore", "urllib3.connectionpool")
"""Loggers that write requests with their headers, a session's token among them, at level DEBUG."""


class NoCredentials(HyopsError):
    """Nothing says with whose rights to publish."""


@dataclass(frozen=True)
class Patience:
    """How long the service may take.

    Attributes:
        attempts: of one request, all in all; botocore waits between them.
        connect_seconds: for a connection.
        answer_seconds: between two packets.
        whole_seconds: for an exchange, besides the time that its body takes at the least rate.
    """

    attempts: int = 5
    connect_seconds: float = 20.0
    answer_seconds: float = 60.0
    whole_seconds: float = 120.0


def s3_client(
    endpoint: str | None, region: str | None, environ: Mapping[str, str], patience: Patience | None = None
) -> "S3Client":
    """Return a client with the credentials that the environment names. Nothing is asked of the service yet.

    Args:
        endpoint: of a service that is not Amazon's own: such as https://fsn1.your-objectstorage.com.
        region: that requests are signed for.
        environ: holds a key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; else the files that AWS' own tools read.
            The roles of a host or a container are used for Amazon's own endpoint alone.
        patience: how long the service may take.

    Raises:
        NoCredentials: there are none.
        MissingSecret, UnusableSecret: a half of a key is missing, or holds what no header takes.
        BucketFailed: a profile that cannot be used.
    """
    require_proxies()
    patience = patience or Patience()
    _quiet()
    client = asked("use the credentials", lambda: _made(endpoint, region, environ, patience.attempts))
    proxies = get_environ_proxies(client.meta.endpoint_url)
    sender = _Sender(patience, verify=_bundle(environ), proxies=proxies)
    client.meta.events.register("before-send.s3", sender.send)
    return client


def _made(endpoint: str | None, region: str | None, environ: Mapping[str, str], attempts: int) -> "S3Client":
    session = botocore.session.Session()
    _take_credentials(session, environ, own=endpoint is None)
    client: Any = session.create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=region or session.get_config_variable("region") or _ANY_REGION,
        verify=_bundle(environ),
        config=Config(
            signature_version="s3v4",
            retries={"mode": "standard", "total_max_attempts": attempts},
            # The names of buckets under an endpoint of one's own need no DNS and no wildcard certificate.
            s3={"addressing_style": "path" if endpoint else "auto"},
            # What services that are not Amazon's understand: no checksums in trailers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Where objects go is said by the settings, and by nothing beside them.
            ignore_configured_endpoint_urls=True,
        ),
    )
    return client


def _take_credentials(session: Any, environ: Mapping[str, str], *, own: bool) -> None:
    remember([KEY_ID, KEY, TOKEN])
    if environ.get(KEY_ID, "").strip() or environ.get(KEY, "").strip():
        token = secret(TOKEN, environ) if environ.get(TOKEN, "").strip() else None
        session.set_credentials(secret(KEY_ID, environ), secret(KEY, environ), token)
        return
    if not own:
        resolver = session.get_component("credential_provider")
        for name in _ROLES_OF_A_HOST:
            resolver.remove(name)
    if session.get_credentials() is None:
        raise NoCredentials(
            "there are no credentials for the bucket",
            hint=f"export {KEY_ID} and {KEY}, or name a profile of ~/.aws/credentials in AWS_PROFILE",
        )


def _bundle(environ: Mapping[str, str]) -> str | bool:
    """Return the authorities that are trusted: AWS' own variable first, then those of everything else here."""
    names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    return next((environ[name] for name in names if environ.get(name, "").strip()), True)


def _quiet() -> None:
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(max(logging.INFO, logger.level))


class _Sender:
    """Sends what botocore prepared and signed, in its place, so that each exchange has an end.

    botocore's own timeouts hold for each read; an answer that drips would have none.
    """

    def __init__(self, patience: Patience, *, verify: str | bool, proxies: Mapping[str, str]) -> None:
        self._whole_seconds = patience.whole_seconds
        self._moment = Moment()
        self._session = _BoundedSession(
            self._moment,
            verify=verify,
            proxies=dict(proxies),
            timeout=(patience.connect_seconds, patience.answer_seconds),
            max_pool_connections=64,
        )

    def send(self, request: Any, **_: Any) -> Any:
        """Return the answer to a prepared request; raises what botocore's own session does."""
        self._moment.give(self._whole_seconds, int(request.headers.get("Content-Length", 0) or 0))
        try:
            return self._session.send(request)
        except HTTPClientError as error:
            cause = error.kwargs.get("error")
            if isinstance(cause, HyopsError):
                # Of the body that was read for it: a source that is not what was promised. No other try mends it.
                raise cause from None
            if self._moment.is_over:
                raise ReadTimeoutError(endpoint_url=request.url, error="it took longer than it may") from error
            raise


class _BoundedSession(URLLib3Session):
    def __init__(self, moment: Moment, **options: Any) -> None:
        super().__init__(**options)
        self._pool_classes_by_scheme = bounded_pools(moment, AWSHTTPConnectionPool, AWSHTTPSConnectionPool)
        self._manager.pool_classes_by_scheme = self._pool_classes_by_scheme
