"""An HTTP server of ours that anyone reaches: so many connections at once and no more, each with an end.

One that says nothing, drips its request or reads a byte a minute would hold a thread and a socket for as long as it
likes, and enough of them this host.
"""

import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Bounds:
    """What a caller may take.

    Attributes:
        connections: at once.
        connections_of_one: of one address.
        request_seconds: until a request is whole.
        least_bytes_per_second: at which an answer is to be read; as long again as a request is given besides.
    """

    connections: int = 64
    connections_of_one: int = 16
    request_seconds: float = 20.0
    least_bytes_per_second: int = 64 << 10


class BoundedServer(ThreadingHTTPServer):
    """Listens on every address of this host, IPv6 and IPv4.

    Args:
        port: on all of them.
        handler: answers.
        bounds: what a caller may take.

    Raises:
        OSError: the port cannot be had.
    """

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, handler: "type[BoundedHandler]", bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self._open: Counter[str] = Counter()
        self._counting = threading.Lock()
        super().__init__(("::" if self.address_family == socket.AF_INET6 else "", port), handler)

    def server_bind(self) -> None:
        """Take both families."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own; one too many is closed without a word."""
        who = str(client_address[0])
        with self._counting:
            full = self._open.total() >= self.bounds.connections or self._open[who] >= self.bounds.connections_of_one
            if not full:
                self._open[who] += 1
        if full:
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # No thread was to be had.
            self._closed(who)
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._closed(str(client_address[0]))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke: the library would print a trace for each."""

    def _closed(self, who: str) -> None:
        with self._counting:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]


class BoundedHandler(BaseHTTPRequestHandler):
    """One request of one connection. A subclass calls `allow` before it sends a body."""

    def setup(self) -> None:
        """Give the request its time."""
        super().setup()
        self._ends = self._timer(self._bounds.request_seconds)

    def allow(self, size_bytes: int) -> None:
        """Give an answer of so many bytes its time."""
        self._ends.cancel()
        bounds = self._bounds
        self._ends = self._timer(bounds.request_seconds + size_bytes / bounds.least_bytes_per_second)

    def finish(self) -> None:
        """End with the connection."""
        self._ends.cancel()
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing: who fetches what is on the other side's record."""

    def version_string(self) -> str:
        """Return what the answer's Server header says: no version that somebody could look up."""
        return "hyops"

    @property
    def _bounds(self) -> Bounds:
        return self.server.bounds if isinstance(self.server, BoundedServer) else Bounds()

    def _timer(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        return timer

    def _cut(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
