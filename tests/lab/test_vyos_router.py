"""The look-alike's logins, without booting it: which accounts its stand-in of VyOS' boot makes of a configuration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_assets.lab.lookalike.iso import release_files
from tests.conftest import LOOKALIKE_RELEASE

FILES = release_files(LOOKALIKE_RELEASE)
ROUTER = "usr/libexec/vyos/init/vyos-router"
# Records what it is given: the machine's own accounts are not the test's to change.
RECORD = '#!/bin/sh\necho "$(basename "$0") $* $(test "$(basename "$0")" = useradd || cat)" >>"$RECORDED"\n'


@pytest.fixture
def accounts(tmp_path: Path):
    for name in ("useradd", "chpasswd"):
        (tmp_path / name).write_text(RECORD)
        (tmp_path / name).chmod(0o755)
    package = tmp_path / "vyos"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "configtree.py").write_bytes(FILES["usr/lib/python3/dist-packages/vyos/configtree.py"])
    default, config = tmp_path / "config.boot.default", tmp_path / "config.boot"
    default.write_bytes(FILES["usr/share/vyos/config.boot.default"])
    program = FILES[ROUTER].decode()
    for name, path in {
        "/usr/share/vyos/config.boot.default": default,
        "/opt/vyatta/etc/config/config.boot": config,
    }.items():
        assert name in program
        program = program.replace(name, str(path))

    def made(text: str | None) -> str:
        if text is not None:
            config.write_text(text)
        recorded = tmp_path / "recorded"
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(tmp_path),
            "RECORDED": str(recorded),
        }
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
        return recorded.read_text() if recorded.exists() else ""

    return made


def test_the_isos_own_default_lets_vyos_in(accounts):
    assert "useradd --create-home --shell /bin/bash vyos" in accounts(None)
    assert "chpasswd --encrypted vyos:$6$" in accounts(None)


def test_a_shut_configuration_gives_a_password_that_nothing_matches(accounts):
    text = 'system { login { user vyos { authentication {\nencrypted-password "*"\n} } } }\n'
    assert "chpasswd --encrypted vyos:*\n" in accounts(text)


def test_a_user_with_keys_alone_has_no_password(accounts):
    text = "system {\n    login {\n        user ops {\n            full-name x\n        }\n    }\n}\n"
    assert "chpasswd --encrypted ops:!\n" in accounts(text)


def test_a_configuration_without_users_makes_none(accounts):
    assert accounts("system {\n    host-name a\n}\n") == ""


def test_systemd_starts_it_after_cloud_init_and_before_anyone_logs_in():
    unit = FILES["usr/lib/systemd/system/vyos-router.service"].decode()
    assert "After=cloud-config.service" in unit
    assert "Before=systemd-user-sessions.service" in unit
    assert b"Wants=vyos-router.service" in FILES["usr/lib/systemd/system/multi-user.target.d/vyos-router.conf"]
