"""Anonymous callers may ask a server of ours; none of them holds a thread for ever, nor all of them together."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from resources.bounded_server import BoundedHandler, BoundedServer, Bounds

WORD = b"what is served"


class Answering(BoundedHandler):
    def do_GET(self) -> None:
        self.allow(len(WORD))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(WORD)


class Flooding(BoundedHandler):
    def do_GET(self) -> None:
        self.allow(0)
        while True:
            self.wfile.write(bytes(1 << 20))


@contextmanager
def serving(bounds: Bounds, handler: type[BoundedHandler] = Answering) -> Iterator[BoundedServer]:
    server = BoundedServer(0, handler, bounds)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def connected(server: BoundedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=30)


def received_from(connection: socket.socket) -> bytes:
    """What a connection receives until it ends."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionError:
        pass
    return received


def asked(server: BoundedServer) -> bytes:
    with connected(server) as connection:
        try:
            connection.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        except ConnectionError:
            return b""
        return received_from(connection)


@pytest.mark.parametrize("bounds", [Bounds(connections_of_one=2), Bounds(connections=2)])
def test_one_connection_too_many_is_closed_and_the_next_is_served_once_another_ended(bounds: Bounds) -> None:
    with serving(bounds) as server:
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(connected(server))
            assert asked(server) == b""
        # The two that ended free their places as soon as their threads see it.
        while not (said := asked(server)):
            pass
        assert said.endswith(WORD)


@pytest.mark.parametrize("said", [b"", b"GET", b"GET /x HTTP/1.0\r\nA: "])
def test_a_request_that_is_never_whole_ends(said: bytes) -> None:
    with serving(Bounds(request_seconds=0.2)) as server, connected(server) as connection:
        connection.sendall(said)
        assert WORD not in received_from(connection)


@pytest.mark.seconds
def test_an_answer_that_no_client_reads_ends(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(Bounds(connections_of_one=1, request_seconds=0.2), Flooding) as server, connected(server) as lazy:
        lazy.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        # Its place is free again although it read nothing and did not go.
        while not asked(server):
            pass
    assert capfd.readouterr().err == ""


def test_what_is_said_of_the_server_names_no_version() -> None:
    with serving(Bounds()) as server:
        assert b"\r\nServer: hyops\r\n" in asked(server)
