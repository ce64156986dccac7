"""How the service words what it refuses: a JSON envelope for its API, XML for plain object URLs.

Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes and
https://cloud.google.com/storage/docs/xml-api/reference-status.
"""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

_XML_CODES = {
    401: "AuthenticationRequired",
    403: "AccessDenied",
    404: "NoSuchKey",
    412: "PreconditionFailed",
    429: "SlowDown",
    503: "ServiceUnavailable",
}


@dataclass
class ApiError(Exception):
    """An answer that is an error. `reason` is the service's word for programs, `message` its sentence for people."""

    status: int
    reason: str
    message: str

    def as_json(self) -> web.Response:
        """Return the answer of the JSON API."""
        detail = {"message": self.message, "domain": "global", "reason": self.reason}
        return web.json_response(
            {"error": {"code": self.status, "message": self.message, "errors": [detail]}}, status=self.status
        )

    def as_xml(self) -> web.Response:
        """Return the answer under a plain object URL."""
        code = "NoSuchBucket" if self.reason == "noSuchBucket" else _XML_CODES.get(self.status, "InvalidArgument")
        text = (
            "<?xml version='1.0' encoding='UTF-8'?><Error>"
            f"<Code>{code}</Code><Message>{escape(self.message)}</Message></Error>"
        )
        return web.Response(text=text, status=self.status, content_type="application/xml")


def invalid(message: str) -> ApiError:
    """Return the answer to a request that makes no sense."""
    return ApiError(400, "invalid", message)


def no_bucket() -> ApiError:
    """Return the answer to a bucket's name that is not taken."""
    return ApiError(404, "noSuchBucket", "The specified bucket does not exist.")


def no_object(bucket: str, name: str) -> ApiError:
    """Return the answer to an object's name that is free."""
    return ApiError(404, "notFound", f"No such object: {bucket}/{name}")


def precondition_failed() -> ApiError:
    """Return the answer where the generation is not the one that was asked for."""
    return ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def retained(name: str) -> ApiError:
    """Return the answer to a deletion or a replacement before the bucket's retention period is over."""
    return ApiError(
        403, "retentionPolicyNotMet", f"Object '{name}' is subject to bucket's retention policy and cannot be changed."
    )


class Sent(web.FileResponse):
    """A file, whole or the range that was asked for. A handler may send it before it returns it."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the file, once."""
        return None if self.prepared else await super().prepare(request)
