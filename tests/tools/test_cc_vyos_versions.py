"""Which configuration a guest starts from, and whether it is migrated: as VyOS itself decides it."""

import re
from pathlib import Path

import pytest

from hyops_lab.lookalike import configtree
from hyops_lab.lookalike.iso import release_files
from hyops_lab.miniature import default_config, saved_config
from tests.tools.conftest import program
from tests.tools.shapes import KEY, RELEASE

FOOTER = "// vyos-config-version:"


@pytest.fixture
def migrating(guest, monkeypatch):
    """A guest with the look-alike's migration, whose work shows in the configuration."""
    name = "usr/libexec/vyos/run-config-migration.py"
    script = (
        release_files(RELEASE)[name]
        .decode()
        .replace("/usr/libexec/vyos/add-system-version.py", str(guest.root / "footer"))
    )
    site = guest.root / "site" / "vyos"
    site.mkdir(parents=True)
    (site / "__init__.py").touch()
    (site / "configtree.py").write_text(Path(configtree.__file__).read_text())
    (guest.root / "migrate.py").write_text(script)
    program(guest.root / "migrate", f'PYTHONPATH={site.parent} exec python3 {guest.root}/migrate.py "$@"')
    return guest


def test_the_releases_own_default_gets_its_footer_and_is_not_migrated(migrating):
    assert FOOTER not in default_config()
    assert migrating.boot(ssh_authorized_keys=[KEY]) == []
    assert migrating.text.count(FOOTER) == 1
    assert f"// Release version: {RELEASE}" in migrating.text
    assert "conntrack" not in migrating.text.partition("// Warning")[0]


def test_an_older_configuration_is_migrated(migrating):
    migrating.config.write_text(saved_config(RELEASE).replace("conntrack@5", "conntrack@4"))
    assert migrating.boot(ssh_authorized_keys=[KEY]) == []
    assert "set system conntrack modules tftp" in migrating.commands
    assert "conntrack@5" in migrating.text


def test_one_of_this_release_is_not(migrating):
    migrating.config.write_text(saved_config(RELEASE))
    assert migrating.boot(ssh_authorized_keys=[KEY]) == []
    assert not any("conntrack" in line for line in migrating.commands)


def test_a_configuration_of_the_owner_without_a_footer_is_migrated_as_vyos_does(migrating):
    migrating.config.write_text(default_config())
    migrating.boot(ssh_authorized_keys=[KEY])
    assert "set system conntrack modules ftp" in migrating.commands


def test_where_both_defaults_exist_vyos_own_copy_counts_and_is_migrated_as_vyos_does(migrating):
    (migrating.root / "own.default").write_text(default_config().replace('host-name "vyos"', 'host-name "flavour"'))
    migrating.boot(ssh_authorized_keys=[KEY])
    assert "set system host-name 'flavour'" in migrating.commands
    assert "set system conntrack modules ftp" in migrating.commands


def test_a_release_that_cannot_name_its_versions_is_reported(guest):
    (guest.root / "footer").unlink()
    (problem,) = guest.boot(ssh_authorized_keys=[KEY])
    assert problem.startswith("the release's versions were not added")
    assert "public-keys" in guest.text


def test_a_guest_without_any_configuration_gets_a_footer_too(guest):
    (guest.root / "config.boot.default").unlink()
    guest.boot(ssh_authorized_keys=[KEY])
    assert re.search(rf"^{FOOTER}", guest.text, re.MULTILINE)
