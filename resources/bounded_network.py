"""A network whose every operation ends by one moment: name look-up aside, nothing a server does takes longer.

HTTP libraries limit each read, so a server that sends a byte now and then is never late. Here the moment stands below
the library (httpcore's `network_backend`), where connections, handshakes, headers and bodies are made of reads.
"""

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any

import httpcore

from hyops_assets.contract.errors import said_by_system

_SLICE_BYTES = 1 << 16


class Moment:
    """When what happens on a network has to be over; nothing may happen on it while none is set.

    Attributes:
        ends: by the monotonic clock, in seconds.
    """

    def __init__(self) -> None:
        self.ends = 0.0

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return time.monotonic() >= self.ends

    def left(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
        """Return how long one operation may take.

        Raises:
            httpcore.TimeoutException: no time is left.
        """
        left = self.ends - time.monotonic()
        if left <= 0:
            raise late("no time is left")
        return left if timeout is None else min(left, timeout)


class BoundedNetwork(httpcore.NetworkBackend):
    """TCP and TLS until a moment.

    Args:
        moment: shared with the caller that starts an exchange and sets it.
    """

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers: all of them share the time.

        The look-up of the name is the system's, which limits it (resolv.conf(5), `timeout` and `attempts`).
        """
        with _as_connect_errors():
            found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
        options = tuple(socket_options or ())
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in dict.fromkeys(str(entry[4][0]) for entry in found):
            left = self._moment.left(timeout, httpcore.ConnectTimeout)
            try:
                return _BoundedStream(
                    self._inner.connect_tcp(address, port, left, local_address, options), self._moment
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, moment: Moment) -> None:
        self._inner = inner
        self._moment = moment

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._moment.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _SLICE_BYTES):
            left = self._moment.left(timeout, httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + _SLICE_BYTES], left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._moment.left(timeout, httpcore.ConnectTimeout)
        with _as_connect_errors():
            return _BoundedStream(self._inner.start_tls(ssl_context, server_hostname, left), self._moment)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


@contextmanager
def _as_connect_errors() -> Iterator[None]:
    """Turn what is raised about a name that cannot be one, and about one that is not found, into httpcore's errors."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise httpcore.ConnectError(said_by_system(error)) from error
