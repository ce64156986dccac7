"""How mmdebstrap is called where HOME and TMPDIR are closed to others; what it makes is tested with the look-alike."""

import os
from pathlib import Path

import pytest

from hyops_assets.image import programs
from hyops_lab.lookalike import rootfs
from hyops_lab.lookalike.rootfs import CannotVerify, debian_rootfs, mmdebstrap_arguments

GPGV = "E: gpgv, gpgv2 or gpgv1 required for verification, but neither seems installed"


def test_as_root_apt_drops_to_no_user_that_enters_no_private_directory(tmp_path: Path) -> None:
    words = list(map(str, mmdebstrap_arguments(tmp_path, tmp_path / "sources.list", as_root=True)))
    assert '--aptopt=APT::Sandbox::User "root"' in words
    # The last hook that is given runs last: `finish` still finds what it needs.
    assert words.index('--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"') < words.index(
        f"--customize-hook={tmp_path / 'finish'}"
    )


def test_an_ordinary_user_changes_nothing_about_apts_own_users(tmp_path: Path) -> None:
    words = map(str, mmdebstrap_arguments(tmp_path, tmp_path / "sources.list", as_root=False))
    assert not any("Sandbox" in word or "99mmdebstrap" in word for word in words)


def test_apt_that_cannot_verify_ends_in_one_line_that_names_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A host whose mmdebstrap says what it says where _apt cannot enter a directory.
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "mmdebstrap").write_text(f"#!/bin/sh\necho '{GPGV}' >&2\nexit 25\n")
    (bin_ / "mmdebstrap").chmod(0o755)
    monkeypatch.setattr(programs, "_PATH", f"{bin_}:{programs._PATH}")
    monkeypatch.setattr(rootfs, "host_sources", lambda suite: [])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(CannotVerify, match=f"could not verify Debian's packages below {tmp_path}") as raised:
        debian_rootfs(tmp_path / "cache")
    assert "set TMPDIR to a directory that every user may enter" in raised.value.hint
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []
    assert os.path.lexists(tmp_path / "cache")
