"""Serving files of this host over http for as long as one seed lasts, and seeing that they can be reached."""

import ipaddress
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from urllib.parse import quote

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.urls import BadUrl, Url
from hyops_assets.image.bounded import Limits, run_bounded
from hyops_assets.image.budget import OverBudget
from hyops_assets.image.programs import ProgramFailed, find_program
from resources.bounded_server import BoundedHandler, BoundedServer
from resources.sites.hetzner.staging import STAGING

_PROBE_SECONDS = 20.0
_PROBE_BYTES = 4096
"""Another server there may answer without end."""


class NotReachable(Refused):
    """This host's public URL does not lead to this host. Nothing was made."""


@dataclass(frozen=True)
class Wrapper:
    """Where a raw.xz that is made here of a qcow2 is served for one seed.

    Attributes:
        base_url: under which the server that writes reaches this host.
        port: that is listened on here, on every address.
        staging: where it is made.
    """

    base_url: str
    port: int
    staging: Path = STAGING


class Shelf:
    """The files that are served, by name; nothing else is."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self.files: dict[str, Path] = {}

    def put(self, file: Path) -> str:
        """Serve a file under its name, and return its URL."""
        self.files[quote(file.name)] = file
        return f"{self._base_url}/{quote(file.name)}"

    def find(self, path: str) -> Path | None:
        """Return the file that a request's path names. A proxy before this host may have kept the base URL's path."""
        return self.files.get(path.partition("?")[0].rsplit("/", 1)[-1])


@contextmanager
def serving(wrapper: Wrapper) -> Iterator[Shelf]:
    """Listen on the wrapper's port, on every address of this host, for as long as the block lasts.

    Raises:
        Refused: the port cannot be had.
    """
    shelf = Shelf(wrapper.base_url)

    class Handler(_Handler):
        def found(self) -> Path | None:
            return shelf.find(self.path)

    try:
        server = BoundedServer(wrapper.port, Handler)
    except OSError as error:
        raise Refused(
            f"port {wrapper.port} cannot be listened on: {error.strerror}", hint="set seed_wrapper_bind_port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="wrapper", daemon=True)
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def require_public_url(base_url: str, *, lab: bool) -> None:
    """Refuse a base URL that leads nowhere outside this host.

    Raises:
        NotReachable: no http(s) URL, with credentials or a query, or an address that is not routed; a lab's may be.
    """
    try:
        url = Url.parse(base_url, schemes=("https", "http"))
    except BadUrl:
        url = None
    if url is None or url.query is not None:
        raise NotReachable(
            "seed_wrapper_public_base_url is no plain http or https URL", hint="write http://<this host's name>:<port>"
        )
    host = url.host
    try:
        routed = ipaddress.ip_address(host).is_global
    except ValueError:
        routed = host != "localhost" and not host.endswith(".localhost")
    if not routed and not lab:
        raise NotReachable(
            f"{host} leads nowhere from Hetzner's network", hint="give this host's public name or address"
        )


def require_reached(shelf: Shelf, room: Path) -> None:
    """See that another process gets from the public URL what is served here.

    Raises:
        NotReachable: it gets nothing, or something else.
        MissingProgram: curl is not installed.
    """
    probe = room / f"probe-{secrets.token_hex(8)}"
    word = secrets.token_hex(32)
    probe.write_text(word)
    url = shelf.put(probe)
    argv = ["curl", "-fsS", "--proto", "=http,https", "--max-time", f"{_PROBE_SECONDS:.0f}", "--", url]
    find_program("curl")
    try:
        answer = run_bounded(argv, limits=Limits(wall_seconds=_PROBE_SECONDS + 10, output_bytes=_PROBE_BYTES)).stdout
    except (ProgramFailed, OverBudget) as error:
        raise NotReachable(
            f"{url} does not answer: {error.message}",
            hint="open the port to the world, or publish the record's raw.xz and name it instead",
        ) from error
    finally:
        shelf.files.pop(probe.name)
    if answer != word.encode():
        raise NotReachable(f"{url} is answered by something else than this run", hint="see what listens there")


class _Handler(BoundedHandler):
    def found(self) -> Path | None:
        raise NotImplementedError

    def do_HEAD(self) -> None:  # noqa: N802 - the library's name
        self._answer(with_body=False)

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        file = self.found()
        if file is None:
            self.send_error(404)
            return
        with file.open("rb") as content:
            size = os.fstat(content.fileno()).st_size
            self.allow(size)
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if with_body:
                copyfileobj(content, self.wfile, 1 << 20)
