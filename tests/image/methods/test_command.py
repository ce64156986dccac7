import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hyops_assets.image.methods.command import CommandNotUsable, build_with_command
from hyops_assets.image.methods.logged import REDACTED, run_logged
from hyops_assets.image.methods.method import BuildFailed, MadeDisk
from hyops_assets.image.programs import ProgramFailed
from hyops_assets.settings.build import BuildSettings
from tests.image.conftest import RELEASE
from tests.image.methods.conftest import RequestFor

pytestmark = [pytest.mark.seconds, pytest.mark.usefixtures("own_environment")]

TAKE = 'cp --sparse=always "$INSTALLED" "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"'


@pytest.fixture
def build(tmp_path: Path, request_for: RequestFor, installed: Path) -> Any:
    os.environ["INSTALLED"] = str(installed)

    def built(line: str, **changes: object) -> MadeDisk:
        command = {
            "build_command": line,
            "build_workdir": str(tmp_path),
            "environment": ["INSTALLED"],
            **changes,
        }
        return build_with_command(request_for(tmp_path, method="command", command=command))

    return built


def test_the_disk_that_a_command_leaves_gets_our_overlay(build: Any, tmp_path: Path) -> None:
    made = build(TAKE)
    assert (tmp_path / "disk.raw").stat().st_size >= 512 << 20
    assert made.facts["dropped"] >= 2
    assert (made.facts["reproducible"], made.facts["publishable"]) == (False, True)


def test_the_disk_of_a_complete_command_stays_byte_for_byte(build: Any, installed: Path, tmp_path: Path) -> None:
    build(TAKE, complete=True)
    disk = tmp_path / "disk.raw"
    assert disk.stat().st_size == installed.stat().st_size
    # As cmp does, but holes of a GiB are compared as holes.
    assert (
        subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", installed, disk], check=False).returncode == 0
    )


def test_what_a_command_may_emulate_is_not_publishable(build: Any) -> None:
    made = build(f'test "$HYOPS_VYOS_ALLOW_TCG" = 1 && {TAKE}', allow_tcg=True)
    assert (made.facts["accelerator"], made.facts["publishable"]) == ("tcg", False)


def test_a_command_gets_the_environment_contract_and_nothing_of_the_callers(build: Any, tmp_path: Path) -> None:
    os.environ["SECRET_OF_THE_CALLER"] = "hunter22"
    build(f"env -0 > env; pwd > cwd; {TAKE}")
    found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().split("\0") if line)
    given = {name: value for name, value in found.items() if name.startswith("HYOPS_VYOS_")}
    assert "SECRET_OF_THE_CALLER" not in found
    assert Path((tmp_path / "cwd").read_text().strip()) == tmp_path
    assert Path(given["HYOPS_VYOS_SOURCE_ISO_PATH"]).name == f"vyos-{RELEASE}-generic-amd64.iso"
    assert given["HYOPS_VYOS_ARTIFACT_KEY"] == "vyos-1.5"
    assert given["HYOPS_VYOS_ARTIFACT_VERSION"] == f"{RELEASE}-r2"
    assert given["HYOPS_VYOS_IMAGE_VERSION"] == RELEASE
    assert given["HYOPS_VYOS_SOURCE_ISO_URL"] == "https://example.net/vyos.iso"
    assert given["HYOPS_VYOS_DISK_SIZE_GB"] == "1"
    assert given["HYOPS_VYOS_CLOUD_INIT_DS"] == "NoCloud,ConfigDrive,Hetzner,None"
    assert given["HYOPS_VYOS_ALLOW_TCG"] == "0"
    assert Path(found["HYOPS_CC_VYOS_SOURCE"]).is_file()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("true", "left nothing"),
        ("cp stale.raw elsewhere.raw", "left nothing"),
        ('cp -p stale.raw "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"', "older than this run"),
        ('mv stale.raw "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"', "older than this run"),
        ('ln stale.raw "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"', "a link to another file"),
        ('ln -s "$PWD/stale.raw" "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"', "no file of its own"),
        ('mkdir "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"', "no file of its own"),
    ],
)
def test_a_disk_that_is_not_this_runs_is_refused(build: Any, tmp_path: Path, line: str, why: str) -> None:
    stale = tmp_path / "stale.raw"
    stale.write_bytes(bytes(510) + b"\x55\xaa")
    os.utime(stale, (1_700_000_000, 1_700_000_000))
    with pytest.raises(BuildFailed, match=why):
        build(f"echo the last words; {line}")
    assert not (tmp_path / "disk.raw").exists()


def test_a_file_that_is_no_disk_is_refused(build: Any) -> None:
    with pytest.raises(BuildFailed, match="no disk"):
        build('echo "404 Not Found" > "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"')


def test_a_command_that_fails_is_quoted(build: Any) -> None:
    with pytest.raises(ProgramFailed, match=r"(?s)bash failed with exit status 3.*no such mirror"):
        build("echo no such mirror >&2; exit 3")


def test_a_command_that_takes_too_long_is_stopped_with_all_it_started(build: Any, tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="did not end within 1 s"):
        build("sleep 300 & echo $! > pid; wait", timeout_seconds=1)
    assert_ended(int((tmp_path / "pid").read_text()))


def test_cancelling_stops_the_commands_whole_process_group(tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    def cancel(stage: str, done: int, total: int | None) -> None:
        if (tmp_path / "pid").exists():
            raise Cancelled

    with pytest.raises(Cancelled):
        run_logged(
            ["bash", "-c", f"sleep 300 & echo $! > {tmp_path}/pid; wait"], stage="x", timeout=60, progress=cancel
        )
    assert_ended(int((tmp_path / "pid").read_text()))


def test_a_command_that_closes_its_output_is_watched_to_its_end(tmp_path: Path) -> None:
    reported: list[str] = []
    said = run_logged(
        ["bash", "-c", f"echo begun; exec >{tmp_path}/log 2>&1; sleep 1.5; exit 0"],
        stage="x",
        timeout=60,
        progress=lambda stage, done, total: reported.append(stage),
    )
    assert said.text == "begun"
    assert len(reported) > 1, "it was looked at while it printed nothing"
    with pytest.raises(ProgramFailed, match="did not end within 1 s"):
        run_logged(["bash", "-c", "exec >&- 2>&-; sleep 300"], stage="x", timeout=1)


def test_a_process_that_a_command_leaves_behind_does_not_hold_the_build(tmp_path: Path) -> None:
    # It holds the command's output open: what waited for that would fail when the minute is over.
    said = run_logged(["bash", "-c", f"sleep 300 & echo $! > {tmp_path}/pid; echo done"], stage="x", timeout=60)
    assert said.text == "done"
    assert_ended(int((tmp_path / "pid").read_text()))


def test_what_a_passed_on_variable_holds_stands_in_no_log_and_no_error(
    build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    os.environ["REGISTRY_PASSWORD"] = "correct horse"
    caplog.set_level(logging.INFO)
    with pytest.raises(ProgramFailed) as failed:
        build('echo "login $REGISTRY_PASSWORD" >&2; exit 1', environment=["REGISTRY_PASSWORD"])
    assert f"login {REDACTED}" in str(failed.value)
    assert f"login {REDACTED}" in caplog.text
    assert "correct horse" not in str(failed.value) + caplog.text


def test_a_variable_that_is_not_set_is_named_before_the_command_runs(build: Any, tmp_path: Path) -> None:
    with pytest.raises(CommandNotUsable, match="NOT_SET_ANYWHERE"):
        build("touch ran", environment=["NOT_SET_ANYWHERE"])
    assert not (tmp_path / "ran").exists()


def test_a_working_directory_that_does_not_exist_is_named(build: Any, tmp_path: Path) -> None:
    with pytest.raises(CommandNotUsable, match="nowhere"):
        build(TAKE, build_workdir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("line", ["", "   ", "one\ntwo", "one\rtwo"])
def test_a_command_is_one_line(line: str) -> None:
    with pytest.raises(ValidationError):
        BuildSettings.model_validate({"method": "command", "command": {"build_command": line, "build_workdir": "/"}})


@pytest.mark.parametrize("method", ["command", "vyos-vm-images"])
def test_a_method_without_its_settings_is_refused(method: str) -> None:
    with pytest.raises(ValidationError, match=r"needs the settings build\."):
        BuildSettings.model_validate({"method": method})


def test_what_a_command_started_dies_with_a_build_that_is_killed(tmp_path: Path) -> None:
    line = f"setpriv sh -c 'sleep 300 & echo $! > {tmp_path}/pid; echo started; wait'; true"
    program = (
        "from hyops_assets.image.methods.logged import run_logged\n"
        "def report(*_): print('progress', flush=True)\n"
        f"run_logged(['bash', '-c', {line!r}], stage='x', timeout=60, progress=report)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None
        assert any((tmp_path / "pid").exists() for _ in builder.stdout)
        builder.kill()
    assert_ended(int((tmp_path / "pid").read_text()))


def assert_ended(pid: int) -> None:
    ended = threading.Event()
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        ended.wait(0.05)
    raise AssertionError(pid)
