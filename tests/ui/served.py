"""Dagster's own processes for tests: started as a user starts them, awaited by condition, ended with everything."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.ui.serve import NoUi, open_link

CHECKOUT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what: str, ask: Any, *, within: float, every: float = 0.5) -> Any:
    """Ask again and again until the answer is true; fail with what was awaited."""
    deadline = time.monotonic() + within
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what}"
        time.sleep(every)


def _with_cookies() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


@dataclass(frozen=True)
class Ui:
    """A UI of an environment, entered by a link as a person enters it."""

    url: str
    root: RuntimeRoot
    _entered: urllib.request.OpenerDirector = field(default_factory=_with_cookies, repr=False)

    def link(self) -> str:
        """A fresh link, as `hyops open` prints one: for a browser."""
        return open_link(self.root)

    def enter(self) -> None:
        with self._entered.open(self.link(), timeout=60) as answer:
            assert answer.url == f"{self.url}/"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send a GraphQL query."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with self._entered.open(request, timeout=60) as answer:
            return json.loads(answer.read())["data"]

    def answers(self) -> bool:
        try:
            self.enter()
            return "repositoriesOrError" in self.ask("{repositoriesOrError{__typename}}")
        except (NoUi, urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def serving(
    argv: list[str], environment: Mapping[str, str], root: RuntimeRoot, log: Path, *, within: float = 120
) -> Iterator[Ui]:
    """Run a command that serves an environment's UI on a port it is given as `{port}`; end its group afterwards."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [word.format(port=port) for word in argv],
            cwd=CHECKOUT,
            env={name: os.environ[name] for name in ("HOME", "PATH")} | dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ui = Ui(f"http://127.0.0.1:{port}", root)

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return ui.answers()

        wait_until("the UI answers", ready, within=within)
        yield ui
    finally:
        for sign in (signal.SIGINT, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
                process.wait(30)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break


def ui_alone(*flags: str) -> list[str]:
    """The UI without a daemon."""
    return [sys.executable, "-m", "tests.unsynced", "ui", "--port", "{port}", *flags]
