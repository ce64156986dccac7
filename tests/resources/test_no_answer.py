"""What `requests` raises of a network that fails, each way for real, and the words that people read."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from resources.no_answer import why_unanswered


@contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """A port where each connection is answered and closed; where the answer is None, it is held open and silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                held.append(client)
                if answer is not None:
                    client.recv(65536)
                    client.sendall(answer)
                    client.close()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for client in held:
                client.close()


def why(url: str, proxies: dict[str, str] | None = None) -> str:
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.RequestException) as caught:
            session.get(url, timeout=(5, 0.2), proxies=proxies)
    return why_unanswered(caught.value)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_port_where_nothing_listens() -> None:
    assert why(f"http://127.0.0.1:{free_port()}/") == "Connection refused"


def test_a_name_without_an_address() -> None:
    assert why("https://pve1.example.invalid:8006/") == "the name has no address"


def test_a_proxy_that_is_not_there() -> None:
    proxy = f"http://user:secret@127.0.0.1:{free_port()}"
    assert (
        why("http://127.0.0.1:1/", proxies={"http": proxy}) == "the proxy does not let it through, or does not answer"
    )


def test_a_server_that_is_silent() -> None:
    with listening(None) as port:
        assert why(f"http://127.0.0.1:{port}/") == "it takes too long"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["hangs up", "speaks another protocol"])
def test_a_server_that_speaks_no_http(answer: bytes) -> None:
    with listening(answer) as port:
        assert "broke" in why(f"http://127.0.0.1:{port}/") or "reset" in why(f"http://127.0.0.1:{port}/")


def test_a_server_that_speaks_no_tls() -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert why(f"https://127.0.0.1:{port}/") == "no TLS could be agreed on"
