import hashlib
from pathlib import Path

import pytest

from hyops_assets.image.intake.iso import open_iso
from hyops_assets.image.overlay.sources import NoSource, host_sources
from hyops_lab.lookalike import make_lookalike, rootfs, schema
from hyops_lab.lookalike.iso import release_files
from tests.conftest import LOOKALIKE_RELEASE


def test_the_release_stands_in_every_file_that_names_it():
    files = release_files(LOOKALIKE_RELEASE)
    versions = "usr/libexec/vyos/add-system-version.py"
    for name in ("opt/vyatta/etc/version", "usr/share/vyos/version.json", versions):
        assert LOOKALIKE_RELEASE.encode() in files[name]


def test_its_default_configuration_has_no_footer_as_vyos_has_none():
    assert b"//" not in release_files(LOOKALIKE_RELEASE)["usr/share/vyos/config.boot.default"]


def test_its_boot_script_does_what_vyos_live_boot_does_and_asks_for_vyos_memory():
    """What only a boot shows otherwise: the copy and the mount, before the root is handed over."""
    script = (Path(str(rootfs.__file__)).parent / "guest" / "live").read_text()
    assert script.index('cp -a "$rootmnt/opt/vyatta/etc/config" "$kept"') < script.index('mount -o bind "$kept"')
    assert "vyos-union: $kib KiB of memory, VyOS needs 1024 MiB" in script


def test_config_is_a_directory_and_no_link():
    finish = (Path(str(rootfs.__file__)).parent / "guest" / "finish").read_text()
    assert 'mkdir -p "$1/config"' in finish
    assert "ln -s opt/vyatta" not in finish


def test_the_schema_distinguishes_tag_nodes_and_values():
    found = schema.templates()
    assert found["interfaces/ethernet/node.def"].startswith("tag:")
    assert found["interfaces/ethernet/node.tag/address/node.def"].startswith("multi:")
    assert "interfaces/node.def" in found


def test_a_machine_without_any_source_of_debian_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rootfs, "host_sources", lambda suite: host_sources(suite, tmp_path / "etc"))
    with pytest.raises(NoSource, match=rf"of {rootfs.SUITE}, and this host has no Debian source"):
        make_lookalike(tmp_path / "x.iso", LOOKALIKE_RELEASE, cache=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_the_lookalike_is_a_sound_iso_of_its_release(lookalike, tmp_path):
    opened = open_iso(lookalike, release=LOOKALIKE_RELEASE, scratch=tmp_path)
    members = opened.squashfs.members()
    assert members["/"].mode == 0o755
    assert members["/opt/vyatta/etc/config"].mode == 0o2775
    assert members["/boot/vmlinuz"].target == next(
        name.removeprefix("/boot/") for name in members if name.startswith("/boot/vmlinuz-")
    )
    assert "/usr/sbin/dhclient" in members
    # The overlay brings cloud-init: of it there are compiled modules alone.
    cloud_init = [path for path, member in members.items() if "/cloudinit/" in path and member.kind == "file"]
    assert cloud_init
    assert all(path.endswith(".cpython-311.pyc") for path in cloud_init)
    assert lookalike.stat().st_size < 250 << 20


@pytest.mark.slow
def test_the_same_kept_root_gives_the_same_iso(lookalike, cache, tmp_path):
    again = make_lookalike(tmp_path / lookalike.name, LOOKALIKE_RELEASE, cache=cache)
    assert _sha256(again) == _sha256(lookalike)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
