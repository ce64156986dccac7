"""The `requests` library with one end for each exchange, for the clients of APIs that are built on it.

Its own timeouts hold for each read, so that an answer that drips has no end. Here the moment stands where its
connections read and write. An answer that is not streamed is read whole before its moment passes.
"""

import io
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import super_len
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

LEAST_BYTES_PER_SECOND = 64 << 10
"""Of what is sent: it gives a large upload its time."""
_SLICE_BYTES = 1 << 16


class Moment(threading.local):
    """When the exchange of a thread has to be over."""

    ends = 0.0

    def give(self, whole_seconds: float, body_bytes: int) -> None:
        """Have the exchange that begins now end in time, with what its body takes at the least rate."""
        self.ends = time.monotonic() + whole_seconds + body_bytes / LEAST_BYTES_PER_SECOND

    @property
    def is_over(self) -> bool:
        """Whether the exchange has to be over by now."""
        return time.monotonic() >= self.ends

    def left(self, timeout: float | None) -> float:
        """Return how many seconds a read or a write may take; raises TimeoutError once there are none."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the exchange takes longer than it may")
        return left if timeout is None else min(left, timeout)


class BoundedAdapter(HTTPAdapter):
    """Sends requests, each with an end.

    Args:
        whole_seconds: for an exchange, besides the time that its body takes at `LEAST_BYTES_PER_SECOND`.
    """

    def __init__(self, whole_seconds: float) -> None:
        self._whole_seconds = whole_seconds
        self._moment = Moment()
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Have every connection bounded."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = bounded_pools(self._moment)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Have every connection to a proxy bounded."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = bounded_pools(self._moment)
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request.

        Raises:
            requests.RequestException: no answer in time, or none at all.
        """
        body = super_len(request.body) if request.body is not None else 0
        self._moment.give(self._whole_seconds, body)
        response = super().send(request, *args, **options)
        if not (args[0] if args else options.get("stream", False)):
            response.content  # noqa: B018 - read while its time lasts
        return response


def bounded_pools(
    moment: Moment,
    plain: type[HTTPConnectionPool] = HTTPConnectionPool,
    secure: type[HTTPSConnectionPool] = HTTPSConnectionPool,
) -> dict[str, type[HTTPConnectionPool]]:
    """Return pools, by scheme, whose connections read and write until a moment.

    Args:
        moment: when each thread's exchange has to be over.
        plain: the library's own pool for http.
        secure: the same for https.
    """
    plain_connection: Any = plain.ConnectionCls
    secure_connection: Any = secure.ConnectionCls

    class Connection(plain_connection):
        def connect(self) -> None:
            super().connect()
            self.sock = _BoundedSocket(self.sock, moment)

    class SecureConnection(secure_connection):
        def connect(self) -> None:
            super().connect()
            self.sock = _BoundedSocket(self.sock, moment)

    class Pool(plain):
        ConnectionCls: Any = Connection

    class SecurePool(secure):
        ConnectionCls: Any = SecureConnection

    return {"http": Pool, "https": SecurePool}


class _BoundedSocket:
    """A socket whose reads and writes end by a moment; all else is the socket's own."""

    def __init__(self, inner: Any, moment: Moment) -> None:
        self._inner = inner
        self._moment = moment
        self._timeout: float | None = inner.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def sendall(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _SLICE_BYTES):
            self._limit()
            self._inner.sendall(view[start : start + _SLICE_BYTES])

    def makefile(self, mode: str = "rb", buffering: int | None = None, **_: Any) -> io.RawIOBase | io.BufferedReader:
        raw = _Reader(self._inner.makefile("rb", buffering=0), self._limit)
        # Who asks for no buffer reads a line, and leaves what comes behind it to another reader.
        return raw if buffering == 0 else io.BufferedReader(raw)

    def _limit(self) -> None:
        self._inner.settimeout(self._moment.left(self._timeout))


class _Reader(io.RawIOBase):
    def __init__(self, inner: Any, limit: Any) -> None:
        self._inner = inner
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._limit()
        return self._inner.readinto(buffer)

    def close(self) -> None:
        self._inner.close()
        super().close()
