"""Exchanges with servers that mean no good: each one ends, with an error of ours."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError, Refused
from hyops_lab.authority import Authority
from resources.answers import Answer, Pace, TooSlow, Unreachable, Untrusted
from resources.public_files import NoRegularFile, TooManyBytes, fetch_file, opened_file, read_document
from resources.public_http import NotAllowed, UnexpectedAnswer, anonymous_client, opened
from resources.repository.anonymous import MOST_BYTES, read_public
from resources.repository.base import NotPublic
from resources.repository.heads import head_published
from resources.repository.marker import require_marker
from tests.assets.environment import free_ports
from tests.resources.hostile import SLOW, answer, dripping, serving

SOON = Pace(answer_seconds=0.3, silence_seconds=0.3, bytes_per_second=1 << 20, behind_seconds=0.3)
ENOUGH = Pace()
"""For servers that are not slow: this machine may be."""


@contextmanager
def asked(url: str, pace: Pace = ENOUGH, headers: dict[str, str] | None = None) -> Iterator[Answer]:
    with anonymous_client(pace) as client, opened(client, url, headers=headers) as reply:
        yield reply


@pytest.mark.parametrize("slow", SLOW)
def test_a_server_that_takes_for_ever_is_given_up(slow: str, authority: Authority) -> None:
    with (
        serving(SLOW[slow], authority) as server,
        pytest.raises(Unreachable, match=r"takes longer than it may|timed out"),
        asked(f"{server.url}/x", SOON) as reply,
    ):
        reply.read(1 << 20)


def test_a_handshake_that_never_comes_is_given_up(authority: Authority) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(Unreachable),
        asked(f"https://127.0.0.1:{silent.getsockname()[1]}/x", SOON),
    ):
        pass


def test_authorities_that_were_written_again_are_read_again(authority: Authority, tmp_path: Path) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"here")

    other = Authority(tmp_path / "other")
    trusted = authority.certificate_file.read_bytes()
    with serving(script, authority) as server:
        with asked(f"{server.url}/x") as reply:
            assert reply.read(10) == b"here"
        authority.certificate_file.write_bytes(other.certificate_file.read_bytes())
        with pytest.raises(Untrusted, match="not trusted"), asked(f"{server.url}/x"):
            pass
        authority.certificate_file.write_bytes(trusted)
        with asked(f"{server.url}/x") as reply:
            assert reply.read(10) == b"here"


def test_redirects_share_one_end(authority: Authority) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield 0.1
        yield answer(b"", "Location: /next", status="302 Found")

    with serving(script, authority) as server, pytest.raises(TooSlow), asked(f"{server.url}/x", SOON):
        pass


@pytest.mark.seconds
def test_a_large_body_may_take_its_time_as_long_as_it_keeps_its_rate(authority: Authority) -> None:
    """In all longer than its limits together: it is never so far behind."""
    piece = b"x" * 100_000
    patient = Pace(answer_seconds=2.0, bytes_per_second=100_000, behind_seconds=1.5)

    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"", length=len(piece) * 12)
        for _number in range(12):
            yield piece
            yield 0.3

    with serving(script, authority) as server, asked(f"{server.url}/x", patient) as reply:
        assert len(reply.read(len(piece) * 12)) == len(piece) * 12


def test_an_early_burst_does_not_pay_for_a_stall_without_end(authority: Authority) -> None:
    slow = dripping(answer(b"x" * (4 << 20), length=1 << 30), every=0.01)
    with serving(slow, authority) as server, pytest.raises(TooSlow), asked(f"{server.url}/x", SOON) as reply:
        sum(len(piece) for piece in reply.pieces(1 << 30))


@pytest.mark.seconds
def test_the_time_that_a_caller_takes_between_two_pieces_is_not_the_server_s(authority: Authority) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"x" * 300_000)

    with serving(script, authority) as server, asked(f"{server.url}/x", Pace(behind_seconds=1.0)) as reply:
        done = 0
        for piece in reply.pieces(300_000):
            done += len(piece)
            if done == len(piece):
                time.sleep(1.2)
        assert done == 300_000


@pytest.mark.seconds
def test_published_objects_heads_files_and_documents_end_as_well(authority: Authority, tmp_path: Path) -> None:
    with serving(SLOW["a body that drips"], authority) as server:
        url = f"{server.url}/x"
        with pytest.raises(TooSlow):
            read_public(url, pace=SOON)
        with pytest.raises(TooSlow):
            fetch_file(url, tmp_path / "x", most_bytes=1 << 20, pace=SOON)
        with pytest.raises(TooSlow):
            read_document(url, pace=SOON)
    assert not (tmp_path / "x").exists()


def test_a_body_beyond_its_limit_ends_whether_or_not_it_was_announced(authority: Authority) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for start in (answer(b"", length=1 << 40), chunked + b"10000\r\n" + b"x" * 0x10000 + b"\r\n"):
        with (
            serving(dripping(start), authority) as server,
            pytest.raises(TooManyBytes),
            asked(f"{server.url}/x") as reply,
        ):
            reply.read(1000)


def test_what_is_published_is_read_up_to_what_a_record_has_whatever_a_server_announces(authority: Authority) -> None:
    for length in (MOST_BYTES + 1, 1 << 45):
        with serving(dripping(answer(b"", length=length)), authority) as server, pytest.raises(TooManyBytes):
            read_public(f"{server.url}/x", pace=SOON)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with serving(dripping(chunked), authority) as server, pytest.raises(NotPublic, match="more than"):
        require_marker(f"{server.url}/x")


@pytest.mark.parametrize(
    "location",
    [
        "https://xn--a/",
        "https://[::1",
        "https://127.0.0.1:99999/",
        "https://127.0.0.1:0/",
        "https://127.0.0.1:22/",
        "/%00",
        "https://127.0.0.1/../x",
        "/a/%2e%2e/b",
        "/a%2fb",
        "https://user:word@127.0.0.1/",
        "https://b\xfccher.example/",
        "https://0x7f000001/",
        "https://" + "a" * 64 + ".example/",
        "https://localhost.",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "x" * 5000,
        "\\\\127.0.0.1\\x",
    ],
)
def test_a_redirect_to_what_is_no_url_or_not_allowed_is_refused_by_type(location: str, authority: Authority) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"", f"Location: {location}", status="302 Found")

    with serving(script, authority) as server, pytest.raises(NotAllowed), asked(f"{server.url}/x"):
        pass
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("headers", "etag"),
    [
        (['ETag: "\xe9"'], None),
        (['ETag: "a b"'], None),
        (["ETag: unquoted"], None),
        (['ETag: "one"', 'ETag: "two"'], None),
        (['ETag: "' + "x" * 600 + '"'], None),
        (['ETag: W/"weak"'], 'W/"weak"'),
        (['ETag: "strong-!~"'], '"strong-!~"'),
        ([], None),
    ],
)
def test_only_an_entity_tag_counts_as_one(headers: list[str], etag: str | None, authority: Authority) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"x", *headers)

    with serving(script, authority) as server, asked(f"{server.url}/x") as reply:
        assert reply.etag == etag


def test_what_was_stored_unchecked_never_leaves_in_a_header(authority: Authority) -> None:
    with serving(dripping(answer(b"x")), authority) as server:
        for value in ('"\xe9"', '"a"\r\nX: y'):
            with pytest.raises(Refused), asked(f"{server.url}/x", headers={"If-None-Match": value}):
                pass
        assert server.asked == []


def test_headers_that_are_no_text_or_no_number_count_as_absent(authority: Authority) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"", "x-goog-stored-content-length: " + "9" * 5000, "x-goog-hash: \xe9")

    with serving(script, authority) as server:
        found = head_published(f"{server.url}/x")
    assert (found.size_bytes, found.validator) == (0, "")


def test_half_an_answer_and_no_http_at_all_are_unreachable(authority: Authority) -> None:
    for said in (b"", b"SSH-2.0-OpenSSH\r\n", answer(b"half", length=100), b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n"):

        def script(_: bytes, said: bytes = said) -> Iterator[bytes | float]:
            yield said

        with serving(script, authority) as server, pytest.raises(Unreachable), asked(f"{server.url}/x") as reply:
            reply.read(1000)


def test_an_address_of_this_host_where_nothing_listens_is_said_in_plain_words_with_the_lab_s_way_out() -> None:
    (port,) = free_ports(1)
    with pytest.raises(Unreachable, match=r": Connection refused\n") as refused, asked(f"https://127.0.0.1:{port}/x"):
        pass
    assert "hyops lab up" in refused.value.hint


def test_a_certificate_of_no_authority_is_untrusted_and_a_bundle_that_is_none_is_said(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(dripping(answer(b"x")), authority) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "other").certificate_file))
        untrusted = pytest.raises(Untrusted, match=r"its certificate is not trusted: [a-z -]+\n")
        with untrusted as refused, asked(f"{server.url}/x"):
            pass
        assert 'eval "$(hyops lab env)"' in refused.value.hint
        for bundle in (tmp_path / "absent.pem", Path(os.devnull)):
            monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
            with pytest.raises(Untrusted), asked(f"{server.url}/x"):
                pass


def test_a_proxy_is_asked_where_the_environment_names_one_and_its_password_stays_out_of_errors(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    for proxy in ("http://user:p4ssw0rd@127.0.0.1:1", "http://user:p4ssw0rd@127.0.0.1:99999", "gopher://p4ssw0rd"):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(HyopsError) as refused, asked("https://unreachable.example/x"):
            pass
        assert "p4ssw0rd" not in str(refused.value)


def test_an_encoded_answer_is_refused(authority: Authority) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"x", "Content-Encoding: gzip")

    with serving(script, authority) as server, pytest.raises(UnexpectedAnswer), asked(f"{server.url}/x"):
        pass


def test_only_regular_files_with_bytes_are_read(tmp_path: Path) -> None:
    pipe, empty = tmp_path / "pipe", tmp_path / "empty"
    os.mkfifo(pipe)
    empty.touch()
    for path in (pipe, empty, tmp_path, Path("/dev/zero"), Path("/proc/self/mem"), Path("/proc/self/maps")):
        with pytest.raises(NoRegularFile), opened_file(path):
            pass
    with pytest.raises(NoRegularFile):
        read_document("/tmp/a\0b")
