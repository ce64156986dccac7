"""Reading an answer's body, whatever it is: the API's JSON, nothing at all, or a page of something in front of it.

Proxmox answers with an empty body where a call did not reach its handler (a refused token, a daemon that restarts, the
parser of uploads: pve-http-server, AnyEvent.pm). proxmoxer hands such a body on as bytes in the place of a mapping.
"""

from dataclasses import dataclass, field
from typing import Any

import requests

from hyops_assets.contract.foreign_json import parsed_json

_MOST_SAID = 2000
"""Characters of a message that are repeated: Proxmox says what is wrong in its first line."""


@dataclass(frozen=True)
class ErrorBody:
    """What an error's body says.

    Attributes:
        fields: a message for every parameter that was refused.
        message: the whole text; the reason phrase has its first line.
        page: the media type of a body that is not the API's; empty where it is, or where there is none.
    """

    fields: dict[str, str] = field(default_factory=dict[str, str])
    message: str = ""
    page: str = ""


class Unreadable(Exception):
    """An answer that says it went well, with a body that is not the API's. `page` is its media type."""

    def __init__(self, page: str) -> None:
        super().__init__(page)
        self.page = page


class Bodies:
    """Reads bodies for proxmoxer, in the place of its own serializer."""

    def get_accept_types(self) -> str:
        """Return what is asked for."""
        return "application/json"

    def loads(self, response: requests.Response) -> Any:
        """Return the payload of an answer.

        Raises:
            Unreadable: it has none.
        """
        document = _document(response)
        if document is None or "data" not in document:
            raise Unreadable(_media_type(response))
        return document["data"]

    def loads_errors(self, response: requests.Response) -> ErrorBody:
        """Return what an error says."""
        document = _document(response)
        if document is None:
            return ErrorBody(page=_media_type(response) if response.content.strip() else "")
        given, message = document.get("errors"), document.get("message")
        named: dict[object, object] = given if isinstance(given, dict) else {}
        fields = {str(name): _on_one_line(str(text)) for name, text in named.items()}
        return ErrorBody(fields=fields, message=_on_one_line(message) if isinstance(message, str) else "")


def _document(response: requests.Response) -> dict[str, Any] | None:
    try:
        document = parsed_json(response.content)
    except (UnicodeDecodeError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _on_one_line(text: str) -> str:
    return " ".join(text.split())[:_MOST_SAID]


def _media_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip() or "no media type"
