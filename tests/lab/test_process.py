import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hyops_lab import process
from hyops_lab.ensemble import HETZNER_TOKEN_ENV, HOST, PROXMOX_TOKEN_ENV
from hyops_lab.process import LabFailed, RunningLab
from tests import processes

pytestmark = [
    pytest.mark.seconds,
    pytest.mark.filterwarnings(
        # A lab in the background outlives the object that started it: that is what it is for.
        "ignore:subprocess [0-9]+ is still running:ResourceWarning"
    ),
]

START = (
    "import sys; from pathlib import Path; from hyops_lab import process\n"
    "found = process.start(Path(sys.argv[1]), bound=sys.argv[2] == 'bound')\n"
    "print(found.pid, flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lab"
    process.stop(tmp_path / "lab")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a lab that runs already."""
    directory = tmp_path_factory.mktemp("served") / "lab"
    process.start(directory)
    yield directory
    process.stop(directory)


def starter(directory: Path, how: str = "free") -> subprocess.Popen[str]:
    """A process that starts the lab, says its id, and waits to be ended."""
    return subprocess.Popen(
        [sys.executable, "-c", START, directory, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(started: subprocess.Popen[str]) -> int:
    assert started.stdout is not None
    return int(started.stdout.readline())


def ends(pid: int, *, within: float = 30) -> bool:
    """Whether a process ends: awaited, not looked at again and again."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], within)[0])
    finally:
        os.close(watched)


def test_a_lab_starts_returns_its_environment_and_stops(directory: Path) -> None:
    found = process.start(directory)
    assert {PROXMOX_TOKEN_ENV, HETZNER_TOKEN_ENV, "SSL_CERT_FILE"} <= set(found.environment())
    assert process.find(directory) == found
    assert process.stop(directory)
    assert process.find(directory) is None
    assert ends(found.pid, within=0)
    assert not process.stop(directory)


def test_a_lab_that_was_never_started_is_not_found(directory: Path) -> None:
    assert process.find(directory) is None
    assert not process.stop(directory)


def test_a_second_start_returns_the_running_lab(served: Path) -> None:
    found = process.find(served)
    assert process.start(served) == found
    assert len(processes.naming(served)) == 1


def test_two_starts_at_once_end_in_one_lab(directory: Path) -> None:
    both = [starter(directory), starter(directory)]
    try:
        assert said(both[0]) == said(both[1])
    finally:
        for one in both:
            one.communicate()
    assert len(processes.naming(directory)) == 1


def test_no_token_is_in_a_file_an_argument_or_the_environment_of_the_process(served: Path) -> None:
    found = process.start(served)
    environment = found.environment()
    tokens = [environment[name].encode() for name in (PROXMOX_TOKEN_ENV, HETZNER_TOKEN_ENV)]
    seen = b"".join(Path(f"/proc/{found.pid}/{what}").read_bytes() for what in ("cmdline", "environ"))
    seen += b"".join(path.read_bytes() for path in served.rglob("*") if path.is_file())
    assert [token for token in tokens if token in seen] == []


def test_only_its_owner_reaches_the_socket(served: Path) -> None:
    address = Path(process.start(served).socket)
    assert address.parent.stat().st_mode & 0o777 == 0o700
    assert address.parent.stat().st_uid == os.getuid()


def test_a_killed_lab_is_not_found_and_the_next_one_comes_back_on_its_ports(directory: Path) -> None:
    killed = process.start(directory)
    ports = json.loads((directory / "ports.json").read_text())
    os.kill(killed.pid, signal.SIGKILL)
    assert ends(killed.pid)
    assert process.find(directory) is None
    again = process.start(directory)
    assert again.pid != killed.pid
    assert json.loads((directory / "ports.json").read_text()) == ports


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', '{"pid": 1, "socket": "/nowhere"}'])
def test_a_running_file_that_leads_nowhere_is_no_lab(directory: Path, content: str) -> None:
    directory.mkdir()
    (directory / "running.json").write_text(content)
    assert process.find(directory) is None


def test_a_taken_port_is_reported_and_no_process_is_left(directory: Path) -> None:
    process.start(directory)
    process.stop(directory)
    port = json.loads((directory / "ports.json").read_text())["objects"]
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, port))
        other.listen()
        with pytest.raises(LabFailed, match=rf"cannot listen where it did: .*{port}") as caught:
            process.start(directory)
    assert "Traceback" not in caught.value.message
    assert processes.naming(directory) == {}
    assert process.find(directory) is None


def test_a_bound_lab_ends_with_the_process_that_started_it_however_that_ends(directory: Path) -> None:
    bound = starter(directory, "bound")
    pid = said(bound)
    assert not ends(pid, within=0)
    bound.kill()
    bound.communicate()
    assert ends(pid)
    assert process.find(directory) is None


def test_a_bound_lab_lives_as_long_as_its_starter(directory: Path) -> None:
    found = process.start(directory, bound=True)
    gc.collect()
    subprocess.run(["true"], check=True)
    assert not ends(found.pid, within=1)


def test_a_lab_that_is_not_bound_outlives_its_starter(directory: Path) -> None:
    started = starter(directory)
    pid = said(started)
    started.kill()
    started.communicate()
    assert not ends(pid, within=0.5)
    found = process.find(directory)
    assert isinstance(found, RunningLab)
    assert found.pid == pid


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_lab_that_is_asked_to_end_leaves_no_trace_of_running(directory: Path, sign: signal.Signals) -> None:
    found = process.start(directory)
    os.kill(found.pid, sign)
    assert ends(found.pid)
    assert not (directory / "running.json").exists()
    assert not Path(found.socket).parent.exists()


def test_a_lab_that_is_too_slow_says_so_and_is_gone(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_START_SECONDS", 0.0)
    with pytest.raises(LabFailed, match="did not serve within 0 s, and printed nothing") as caught:
        process.start(directory)
    assert "less busy" in caught.value.hint
    assert process.find(directory) is None
