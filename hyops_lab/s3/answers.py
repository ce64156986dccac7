"""How the service words what it refuses, and the XML of its answers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

Element = tuple[str, "str | Iterable[Element]"]


@dataclass
class S3Error(Exception):
    """An answer that is an error. `details` are further elements, `headers` what a HEAD has instead of them."""

    status: int
    code: str
    message: str
    details: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def answer(self) -> web.Response:
        """Return the answer."""
        elements = [("Code", self.code), ("Message", self.message), *self.details.items()]
        text = _text([("Error", [(name, value) for name, value in elements])])
        return web.Response(text=text, status=self.status, content_type="application/xml", headers=self.headers)


def document(name: str, elements: Iterable[Element]) -> web.Response:
    """Return an answer that is a document."""
    inner = _text(elements)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{_NAMESPACE}">{inner}</{name}>'
    return web.Response(text=text, content_type="application/xml")


def no_key() -> S3Error:
    """Return the answer to a name that is free."""
    return S3Error(404, "NoSuchKey", "The specified key does not exist.")


def no_upload() -> S3Error:
    """Return the answer to an upload that was never begun, is complete or was aborted."""
    return S3Error(404, "NoSuchUpload", "The specified multipart upload does not exist.")


def denied() -> S3Error:
    """Return the answer to who may not."""
    return S3Error(403, "AccessDenied", "Access Denied")


def condition_failed() -> S3Error:
    """Return the answer where a condition does not hold."""
    return S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def _text(elements: Iterable[Element]) -> str:
    return "".join(
        f"<{name}>{escape(value) if isinstance(value, str) else _text(value)}</{name}>" for name, value in elements
    )
