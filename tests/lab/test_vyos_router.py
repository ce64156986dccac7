"""The look-alike's logins, without booting it: which accounts its stand-in of VyOS' boot makes of a configuration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_lab.lookalike.iso import release_files
from tests.conftest import LOOKALIKE_RELEASE

FILES = release_files(LOOKALIKE_RELEASE)
ROUTER = "usr/libexec/vyos/init/vyos-router"
# Records what it is given: the machine's own accounts are not the test's to change.
RECORD = '#!/bin/sh\necho "$(basename "$0") $* $(test "$(basename "$0")" = useradd || cat)" >>"$RECORDED"\n'


def moved(program: str, root: Path) -> str:
    """A program of the guest, with the guest's own paths below a directory."""
    return program.replace('"/usr/', f'"{root}/usr/').replace('"/opt/', f'"{root}/opt/')


@pytest.fixture
def accounts(tmp_path: Path):
    for name in ("useradd", "chpasswd"):
        (tmp_path / name).write_text(RECORD)
        (tmp_path / name).chmod(0o755)
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o755)
    config = tmp_path / "opt/vyatta/etc/config/config.boot"
    config.parent.mkdir(parents=True)
    program = moved(FILES[ROUTER].decode(), tmp_path)
    migration = tmp_path / "usr/libexec/vyos/run-config-migration.py"
    migration.write_text(moved(migration.read_text().replace("#!/usr/bin/python3", f"#!{sys.executable}"), tmp_path))

    def made(text: str | None) -> str:
        if text is not None:
            config.write_text(text)
        recorded = tmp_path / "recorded"
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(tmp_path / "usr/lib/python3/dist-packages"),
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


def test_a_password_of_a_kind_that_vyos_drops_is_none(accounts):
    text = 'system { login { user ops { authentication {\nencrypted-password "$y$j9T$a$b"\n} } } }\n'
    assert "chpasswd --encrypted ops:!\n" in accounts(text)


def test_it_starts_from_the_default_with_the_releases_footer_and_migrates_nothing_of_it(accounts, tmp_path):
    accounts(None)
    started = (tmp_path / "opt/vyatta/etc/config/config.boot").read_text()
    assert LOOKALIKE_RELEASE in started
    assert "conntrack {" not in started


def test_it_migrates_a_configuration_of_another_version_and_that_shows(accounts, tmp_path):
    accounts("system {\n    host-name a\n}\n")
    assert "conntrack {" in (tmp_path / "opt/vyatta/etc/config/config.boot").read_text()
