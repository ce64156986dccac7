"""The signature beside an ISO, behind a URL or on this host: read whole, bounded, as text.

Whether it holds is intake's to say. Who fetches an ISO and who only looks for one read its signature here.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.urls import Url
from hyops_assets.settings.feed import MAX_SIGNATURE_BYTES
from resources.answers import TooManyBytes
from resources.feed.partial_file import TooLarge
from resources.public_http import AnonymousClient, NotFound, UnexpectedAnswer, opened


class SourceFailed(HyopsError):
    """A source on this host has the ISO, and it cannot be read."""


def remote_signature(client: AnonymousClient, iso: Url, hosts: Collection[str] | None) -> str:
    """Return the text of the signature beside an ISO at a URL.

    Raises:
        TooLarge: it has more than 16 KiB.
        UnexpectedAnswer: it is no text, or the server answers with something else.
        NotAllowed, NotFound, Unreachable, TooSlow, Untrusted: as `opened` raises them.
    """
    url = iso.suffixed(".minisig")
    with opened(client, url, hosts=hosts) as answer:
        try:
            content = answer.read(MAX_SIGNATURE_BYTES)
        except TooManyBytes as error:
            raise _too_large(url.shown) from error
    return _text(content, url.shown)


def local_signature(iso: Path) -> str:
    """Return the text of the signature beside an ISO on this host.

    Raises:
        NotFound: one of the two is no file.
        SourceFailed: it cannot be read.
        TooLarge, UnexpectedAnswer: as `remote_signature` does.
    """
    signature = iso.with_name(f"{iso.name}.minisig")
    with readable(signature):
        for path in (iso, signature):
            if not path.is_file():
                raise NotFound(f"{path} is no file", hint="put the ISO and its .minisig side by side")
        with signature.open("rb") as file:
            content = file.read(MAX_SIGNATURE_BYTES + 1)
    if len(content) > MAX_SIGNATURE_BYTES:
        raise _too_large(str(signature))
    return _text(content, str(signature))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the system's errors about a file that is read into `SourceFailed`."""
    try:
        yield
    except OSError as error:
        raise SourceFailed(
            f"{path} cannot be read: {error.strerror}", hint="check that this user may read it, and its disk"
        ) from error


def _too_large(where: str) -> TooLarge:
    return TooLarge(f"{where} has more than {MAX_SIGNATURE_BYTES} bytes", hint="it is no minisign signature")


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnexpectedAnswer(f"{where} is not text", hint="it is no minisign signature") from error
