"""Webhooks that mean no good: whatever they do, what is said to them ends in time, and the URL shows nowhere."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.settings.notify import NotifySettings
from hyops_lab.authority import Authority
from resources.notify import ALL_SECONDS, ATTEMPTS, Notifier, NotReported, NotReportedYet
from tests.resources.hostile import SLOW, Hostile, Script, answer, dripping, serving

pytestmark = pytest.mark.seconds

SECRET = "T0PSECRET-hook-4711"
SOON = 0.3
"""Seconds: less than a byte a second needs for any answer."""
DRIPPING = {
    **{
        what: script
        for what, script in SLOW.items()
        if what not in {"a body that drips", "chunks that are nearly all padding"}
    },
    "one byte a second": dripping(b"HTTP/1.1 2", then=b"0", every=1.0),
}
"""Slow before the status is said. What comes after it is not read."""


def notifier(server: Hostile, *, timeout: float = 20.0, all_seconds: float = ALL_SECONDS) -> Notifier:
    environ = {"HOOK": f"{server.url}/{SECRET}?token={SECRET}"}
    return Notifier(
        NotifySettings(webhook_env="HOOK"),
        environ,
        timeout_seconds=timeout,
        wait_seconds=0,
        all_seconds=all_seconds,
    )


def saying(content: bytes) -> Script:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield content

    return script


@pytest.mark.parametrize("slow", DRIPPING)
def test_a_webhook_that_takes_for_ever_is_given_up_at_each_attempt_s_end(
    slow: str, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(DRIPPING[slow], authority) as server, caplog.at_level(logging.DEBUG):
        with pytest.raises(NotReportedYet, match=r"HOOK (takes too long|cannot be reached)") as raised:
            notifier(server, timeout=SOON).report({"event": "x"})
        assert len(server.asked) <= ATTEMPTS
    assert SECRET not in f"{raised.value}{raised.getrepr(style='native')}{caplog.text}"


def test_all_that_one_tick_says_to_a_slow_webhook_ends_together(authority: Authority) -> None:
    """Five failed runs in a tick, three attempts each: a tick that is ended from outside would say them again."""
    with serving(DRIPPING["one byte a second"], authority) as server:
        tick = notifier(server, timeout=SOON, all_seconds=SOON * 2)
        for _ in range(5):
            with pytest.raises(NotReportedYet):
                tick.report({"event": "x"})
        assert len(server.asked) <= ATTEMPTS


@pytest.mark.parametrize(
    "taken",
    [
        answer(b"", status="202 Accepted", length=1 << 40),
        answer(b"x", "Content-Encoding: gzip"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_a_message_counts_as_sent_once_its_status_says_so_whatever_follows(taken: bytes, authority: Authority) -> None:
    with serving(saying(taken), authority) as server:
        assert notifier(server).report({"event": "x"})
        (asked,) = server.asked
    assert asked.startswith(f"POST /{SECRET}?token={SECRET} HTTP/1.1\r\n".encode())
    assert b"Content-Type: application/json\r\n" in asked


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_is_refused_and_not_walked(status: str, authority: Authority) -> None:
    with serving(saying(answer(b"", "Location: /elsewhere", status=status)), authority) as server:
        with pytest.raises(NotReported, match=f"HOOK answers {status[:3]}") as raised:
            notifier(server).report({"event": "x"})
        assert len(server.asked) == 1
    assert SECRET not in f"{raised.value}{raised.getrepr(style='native')}"


def test_a_certificate_of_no_authority_is_refused_and_the_url_stays_out_of_it(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(saying(answer(b"")), authority) as server:
        for bundle in (Authority(tmp_path / "other").certificate_file, tmp_path / "absent.pem"):
            monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
            with pytest.raises(NotReported, match="not trusted") as raised:
                notifier(server).report({"event": "x"})
            assert SECRET not in f"{raised.value}{raised.getrepr(style='native')}"
        assert server.asked == []
