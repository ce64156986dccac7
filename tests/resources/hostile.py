"""A server on loopback that speaks the bytes it is given, at its own pace.

What goes on for ever ends here after a while, so that a client without an end fails its test instead of holding it.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from hyops_lab.authority import Authority

FOR_EVER = 10.0
"""Seconds: far above every limit that a test gives."""
Script = Callable[[bytes], Iterator[bytes | float]]
"""From a request's first line to what is sent: bytes, and pauses in seconds."""


class Hostile:
    """One script for every connection; `asked` holds the first lines and headers of what was asked."""

    def __init__(self, script: Script, authority: Authority) -> None:
        self.asked: list[bytes] = []
        self._script = script
        self._context = authority.server_context("127.0.0.1", "localhost")
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.05)
        self.port = self._listening.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"

    def run(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError, OSError):
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=[connection])
                thread.start()
                self._threads.append(thread)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _serve(self, plain: socket.socket) -> None:
        # A client that gives up resets the connection: that is what is wanted of it.
        with suppress(OSError), plain:
            plain.settimeout(5)
            with self._context.wrap_socket(plain, server_side=True) as connection:
                request = b""
                while not _is_whole(request):
                    received = connection.recv(65536)
                    if not received:
                        return
                    request += received
                self.asked.append(request)
                for step in self._script(request):
                    if isinstance(step, bytes):
                        connection.sendall(step)
                    elif self._ended.wait(step):
                        return


def _is_whole(request: bytes) -> bool:
    """A server that closes with a body unread resets the connection, and its own answer may be lost with it."""
    header, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: ([0-9]+)", header)
    return bool(end) and (length is None or len(body) >= int(length[1]))


@contextmanager
def serving(script: Script, authority: Authority) -> Iterator[Hostile]:
    server = Hostile(script, authority)
    accepting = threading.Thread(target=server.run)
    accepting.start()
    try:
        yield server
    finally:
        server.end()
        accepting.join()


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole answer, or the beginning of a longer one."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\nConnection: close\r\n\r\n" + body


def dripping(content: bytes = b"", *, then: bytes = b"x", every: float = 0.02) -> Script:
    """Send something at once, then one byte now and then, for ever."""

    def script(_: bytes) -> Iterator[bytes | float]:
        yield content
        ends = time.monotonic() + FOR_EVER
        while time.monotonic() < ends:
            yield then
            yield every

    return script


SLOW: dict[str, Script] = {
    "a header that drips": dripping(b"HTTP/1.1 200 OK\r\nX-Endless: "),
    "a status line that drips": dripping(b"", then=b"H"),
    "a flood of answers that announce another": dripping(then=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20, every=0.001),
    "a body that drips": dripping(answer(b"", length=1 << 20)),
    "chunks that are nearly all padding": dripping(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", then=b"1;" + b"p" * 20_000 + b"\r\nx\r\n"
    ),
    "nothing at all": dripping(then=b""),
}
"""What a server can do to take for ever."""
