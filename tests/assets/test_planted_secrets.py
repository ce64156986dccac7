"""A secret stands in nothing that is written: each place of one holds a planted text, and everything is searched."""

import base64
import os
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hyops_lab.ensemble import HETZNER_TOKEN_ENV, PROXMOX_TOKEN_ENV
from tests.assets.environment import LabEnvironment
from tests.assets.planted import MARK, PROXIES
from tests.cli.shell import CHECKOUT


class Hook(ThreadingHTTPServer):
    """A webhook that notes what it is told."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Hook)
        self.server.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def written(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what stands below a root: files, and each value of each database; not what the lab's clouds know."""
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.is_relative_to(root / "work" / "lab"):
            continue
        content = path.read_bytes()
        yield str(path), content
        yield str(path), inflated(content)
        if content.startswith(b"SQLite format 3\0"):
            yield from values(path)


def values(database: Path) -> Iterator[tuple[str, bytes]]:
    with sqlite3.connect(database) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for row in connection.execute(f'select * from "{table}"'):
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    yield f"{database} {table}", raw
                    yield f"{database} {table}", inflated(raw)


def inflated(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return b""


@pytest.mark.slow
def test_no_secret_stands_in_anything_that_is_written_or_printed(released: LabEnvironment, hook: Hook) -> None:
    url = f"http://127.0.0.1:{hook.server_port}/services/{MARK}hook0123456789"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.assets.planted", released.root.path, url],
        cwd=CHECKOUT,
        env={**os.environ, "HOME": str(released.root.path), "TMPDIR": str(released.root.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    assert "UNEXPECTED" not in ran.stdout
    assert "success: adopted" in ran.stdout
    said = {line.partition(": ")[0]: line for line in ran.stdout.splitlines()}
    for site in ("hetzner", "proxmox"):
        assert "has a line break after its first line: the value has two lines" in said[f"{site}, two lines"]
        assert "has a character outside ASCII" in said[f"{site}, not ASCII"]
    assert "http_proxy is not the URL of a proxy" in said["hetzner, proxy taken apart elsewhere"]
    assert "no answer: the proxy does not let it through" in said["hetzner, proxy nobody listens"]
    assert "no answer: the certificate is not trusted" in said["hetzner, no trust"]
    assert "holds no path of a file" in said["bucket, HYOPS_VYOS_GCS_SA_JSON_FILE"]
    # Not of the run whose webhook is no URL, nor of those behind a proxy that leads nowhere.
    assert len(hook.received) == ran.stdout.count("; the run's log: hyops dev") - 1 - len(PROXIES)
    assert "has a line break after its first line" in ran.stderr

    basic = [base64.b64encode(part.encode()).rstrip(b"=")[:20] for part in (PROXIES["nobody listens"][7:-12],)]
    needles = [MARK.encode(), *basic, *(os.environ[name].encode() for name in (HETZNER_TOKEN_ENV, PROXMOX_TOKEN_ENV))]
    needles += [MARK.encode("utf-16-le"), base64.b64encode(f"xx{MARK}".encode())[4:-4]]
    everything = [
        *written(released.root.path),
        *(("webhook", message) for message in hook.received),
        ("stdout", ran.stdout.encode()),
        ("stderr", ran.stderr.encode()),
    ]
    found = {f"{needle[:12]!r} in {where}" for where, content in everything for needle in needles if needle in content}
    assert sorted(found) == []
    # The search itself finds: what the runs said of themselves is there, compressed or not.
    assert any(b"has a line break after its first line" in content for _, content in everything)
    assert any(path.suffix in {".out", ".err"} for path in released.root.dagster_home.rglob("*"))
