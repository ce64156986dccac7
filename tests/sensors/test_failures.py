"""A failed run, as the webhook and the log are told of it: a real HTTP server, a real run that failed."""

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from hyops_assets.assets.run_liveness import KILLED, by_shell
from hyops_assets.contract.errors import HyopsError
from hyops_assets.settings.notify import NotifySettings
from resources.notify import ATTEMPTS, Notifier, NotReported, NotReportedYet
from sensors.failures import run_failures

SECRET = "T0PSECRET-hook-4711"
TOKEN = "hcloud-token-0815-abcdef"


class Webhook(ThreadingHTTPServer):
    """Notes what it is told; answers with the statuses it was given, then 204."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_URL": f"http://127.0.0.1:{self.server_port}/{SECRET}", "HCLOUD_TOKEN": TOKEN}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        webhook = self.server
        assert isinstance(webhook, Webhook)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = webhook.statuses.pop(0) if webhook.statuses else 204
        if status < 300:
            webhook.received.append(json.loads(body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def notifier(webhook: Webhook, **environ: str) -> Notifier:
    return Notifier(NotifySettings(webhook_env="NOTIFY_URL"), webhook.environ | environ, wait_seconds=0)


@dg.op
def measure() -> None:
    raise HyopsError(f"the site answers 401 to token={TOKEN}", hint="set HCLOUD_TOKEN")


@dg.job(tags={"dagster/partition": "fsn1|2026.03"})
def seed() -> None:
    measure()


def tick(found: Notifier, *, by_a_shell: bool = False) -> None:
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        failed = seed.execute_in_process(
            run_id=run_id, instance=instance, tags=by_shell(run_id) if by_a_shell else None, raise_on_error=False
        )
        (event,) = [event for event in failed.all_events if event.is_run_failure]
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_instance=instance,
            dagster_run=failed.dagster_run,
            dagster_event=event,
            resources={"notifier": found},
        ).for_run_failure()
        run_failures()(context)


def test_a_run_that_fails_at_a_shell_is_reported_there_alone(webhook: Webhook) -> None:
    tick(notifier(webhook), by_a_shell=True)
    assert webhook.received == []


def test_a_shells_run_that_was_killed_is_reported_too(webhook: Webhook) -> None:
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(
            dg.DagsterRun(job_name="seed", run_id=run_id, tags=by_shell(run_id), status=dg.DagsterRunStatus.STARTED)
        )
        run = instance.get_run_by_id(run_id)
        assert run is not None
        event = instance.report_run_failed(run, KILLED)
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_instance=instance,
            dagster_run=run,
            dagster_event=event,
            resources={"notifier": notifier(webhook)},
        ).for_run_failure()
        run_failures()(context)
    assert [message["reason"] for message in webhook.received] == [KILLED]


def test_a_failed_run_is_reported_with_its_step_and_reason_and_without_secrets(
    webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    tick(notifier(webhook))
    (message,) = webhook.received
    assert message.pop("run_id")
    reason = message.pop("reason")
    assert "the site answers 401" in reason
    assert "next: set HCLOUD_TOKEN" in reason
    assert message == {"event": "run failed", "job": "seed", "partition": "fsn1|2026.03", "step": "measure"}
    logged = capfd.readouterr().err
    assert "seed of fsn1|2026.03 failed at measure" in logged
    for text in (reason, logged.partition("seed of fsn1|2026.03")[2].partition("\n")[0]):
        assert TOKEN not in text
        assert SECRET not in text


def test_no_log_of_any_library_names_the_url(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        notifier(webhook).report({"event": "x"})
    assert webhook.received
    assert SECRET not in caplog.text


def test_a_failed_run_is_logged_where_no_webhook_is_configured(capfd: pytest.CaptureFixture[str]) -> None:
    tick(Notifier(NotifySettings(), {}))
    assert "(no webhook is configured)" in capfd.readouterr().err


def test_a_webhook_that_is_overloaded_is_tried_again(webhook: Webhook) -> None:
    webhook.statuses = [503, 429]
    assert notifier(webhook).report({"event": "x"})
    assert webhook.received == [{"event": "x"}]


@pytest.mark.parametrize(
    ("statuses", "url", "error", "said"),
    [
        ([503] * ATTEMPTS, None, NotReportedYet, "the webhook of NOTIFY_URL answers 503"),
        ([404], None, NotReported, "the webhook of NOTIFY_URL answers 404"),
        ([302], None, NotReported, "the webhook of NOTIFY_URL answers 302"),
        ([], f"http://127.0.0.1:9/{SECRET}", NotReportedYet, "cannot be reached"),
        ([], f"http://hooks.example/{SECRET}", NotReported, "holds no https URL"),
        *(
            ([], url, NotReported, "holds no URL")
            for url in (
                f"https://hooks.example:port/{SECRET}",
                f"https://{SECRET}.hooks.example:99999/",
                f"https://user:{SECRET}@hooks.example/",
                f"https://hooks.example/#{SECRET}",
                f"https://hooks.example/{SECRET}%zz",
                f"https://hooks.example/{SECRET}/../x",
                f"file:///{SECRET}",
                SECRET,
            )
        ),
        ([], " ", NotReported, "NOTIFY_URL is not set"),
    ],
)
def test_what_a_webhook_refuses_is_an_error_that_never_names_its_url(
    webhook: Webhook, statuses: list[int], url: str | None, error: type[HyopsError], said: str
) -> None:
    webhook.statuses = statuses
    found = notifier(webhook, **({} if url is None else {"NOTIFY_URL": url}))
    with pytest.raises(error, match=said) as raised:
        found.report({"event": "x"})
    assert SECRET not in "".join(map(str, (raised.value, raised.value.hint, raised.getrepr(style="native"))))
    assert SECRET not in repr(found)
