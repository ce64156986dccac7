"""The lab's releases and its snapshots by `hyops lab`, with the miniature where a look-alike lies."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hyops_lab.cli import lab
from hyops_lab.cli.lab import LabIso, lookalike
from hyops_lab.hetzner.project import Project
from resources.settings import load_settings
from tests.assets.environment import RELEASE, LabEnvironment
from tests.assets.ground import Ground
from tests.boots import turn_to_boot
from tests.cli.miniature_home import cache_with_miniature
from tests.cli.shell import environment, hyops


def test_a_release_is_put_into_the_feed_with_the_key_that_signed_it(
    ground: Ground, home: LabEnvironment, tmp_path: Path
) -> None:
    shutil.rmtree(home.lab.files.feed / RELEASE)
    environ = environment(tmp_path) | {"XDG_CACHE_HOME": str(cache_with_miniature(ground, tmp_path / "cache"))}
    ran = hyops(environ, "lab", "release", RELEASE, "--root", home.root.path)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert f"{RELEASE} is in the lab's feed" in ran.stdout
    (iso,) = (home.lab.files.feed / RELEASE).glob("*.iso")
    assert iso.read_bytes() == ground.miniature.iso.read_bytes()
    trusted = {key.name: key.public_key for key in load_settings(home.root).feed.keys}
    assert trusted[f"lab-{RELEASE}"] == ground.key.public_key


def test_two_that_ask_for_a_look_alike_at_once_get_the_one_that_its_key_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, made = threading.Event(), list[Path]()

    def make(iso: Path, release: str, **_: object) -> None:
        second.wait(60)
        made.append(iso)
        iso.write_text(release)

    def ask_second() -> LabIso:
        second.set()
        return lookalike(RELEASE)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lab, "make_lookalike", make)
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(lookalike, RELEASE), threads.submit(ask_second)
    assert sorted(one.result().made for one in asked) == [False, True]
    assert len(made) == 1


def test_a_snapshot_that_does_not_boot_is_refused_with_its_console_s_last_words(released: LabEnvironment) -> None:
    """That one boots to the end of cloud-init is the long form in tests/cli/test_demo.py."""
    outputs = released.state("core__hetzner__vyos-image-seed/latest.json")["outputs"]
    snapshot = Project(released.root.lab / "hetzner").image_disk(int(outputs["image_ref"]))
    # Its name alone goes from this environment; other copies keep the file.
    snapshot.unlink()
    snapshot.touch()
    os.truncate(snapshot, 1 << 20)
    with turn_to_boot():
        ran = hyops(environment(released.root.path), "lab", "boot", "--root", released.root.path)
    assert ran.returncode == 1
    assert "the disk did not boot under BIOS" in ran.stderr
    assert "Boot failed: not a bootable disk" in ran.stderr
