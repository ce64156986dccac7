"""What a command of the operator's can learn: run for real, by an ordinary user."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.image.operator_command import OperatorCommand, publishing_key, run_command

PASSWORD = "s3cr3t%2Fproxy-4711"
PROXY = f"http://user:{PASSWORD}@proxy.example:3128"
KEY = json.dumps({"type": "service_account", "private_key": "-----BEGIN\nKEYLINE0123456789\n-----END"}, indent=2)
_AS_A_USER = """
import os, sys
from pathlib import Path
from hyops_assets.image.operator_command import OperatorCommand, publishing_key, run_command

with publishing_key(os.environ) as key:
    line = sys.argv[1]
    print(run_command(OperatorCommand(line), stage="try", variables=key, scratch=Path(sys.argv[2])).text)
"""


def as_a_user(line: str, scratch: Path, **environ: str) -> str:
    """Return what a command prints that an ordinary user's process runs."""
    who = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    scratch.chmod(0o777)
    ran = subprocess.run(
        [*who, sys.executable, "-c", _AS_A_USER, line, scratch],
        env={"PATH": os.environ["PATH"], "HOME": str(scratch), "PYTHONDONTWRITEBYTECODE": "1", **environ},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Below `/tmp` itself: pytest's directories are closed to other users."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory)


def test_a_command_reads_the_environment_of_no_process_above_it_and_its_key_all_the_same(scratch: Path) -> None:
    line = (
        'up=$$; while up=$(cut -d" " -f4 /proc/$up/stat) && [ "$up" -gt 1 ]; do '
        'cat /proc/$up/environ 2>&1 | tr "\\0" "\\n" | grep -c PLANTED; done; '
        'cat "$HYOPS_VYOS_GCS_SA_JSON_FILE" | wc -c'
    )
    said = as_a_user(line, scratch, HCLOUD_TOKEN="PLANTED-token-0123", HYOPS_VYOS_GCS_SA_JSON=KEY)
    *counts, size = said.split()
    assert int(size) == len(KEY)
    assert counts, said
    assert set(counts) == {"0"}, said


def test_a_proxys_password_reaches_a_command_only_where_its_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("no_proxy", "a@b.example")
    line = 'echo "$HTTPS_PROXY $no_proxy" | tee seen'
    assert run_command(OperatorCommand(line), stage="x", variables={}, scratch=tmp_path).text == (
        "http://proxy.example:3128 a@b.example"
    )
    named = OperatorCommand(line, environment=["HTTPS_PROXY"])
    printed = run_command(named, stage="x", variables={}, scratch=tmp_path).text
    assert (tmp_path / "seen").read_text().split()[0] == PROXY
    assert PASSWORD not in printed


def test_a_transcript_holds_neither_a_proxys_password_nor_a_line_of_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", PROXY)
    monkeypatch.setenv("THE_KEY", KEY)
    basic = base64.b64encode(b"user:s3cr3t/proxy-4711").decode()
    line = f'echo "Proxy-Authorization: Basic {basic}, {PASSWORD}, s3cr3t/proxy-4711"; echo "$THE_KEY"'
    command = OperatorCommand(line, environment=["THE_KEY"])
    printed = run_command(command, stage="x", variables={}, scratch=tmp_path).text
    for secret in (basic, PASSWORD, "s3cr3t/proxy-4711", "KEYLINE0123456789"):
        assert secret not in printed
    assert "Proxy-Authorization: Basic" in printed


def test_a_key_in_memory_is_gone_with_the_block() -> None:
    with publishing_key({"HYOPS_VYOS_GCS_SA_JSON": KEY}) as named:
        (file,) = (Path(value) for value in named.values())
        assert file.read_text() == KEY
    assert not file.exists()
