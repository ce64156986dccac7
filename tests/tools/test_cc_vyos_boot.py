"""The look-alike boots with its real kernel, systemd and cloud-init; config.boot is read from the disk it wrote."""

from pathlib import Path

import pytest

from hyops_assets.contract.settings import BuildSettings
from hyops_assets.image.boot.accelerator import probe
from hyops_assets.image.canonical_helper import canonical_helper
from hyops_assets.image.intake.iso import open_iso
from hyops_assets.image.methods.native import ROOT_SECTOR, build_native
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.overlay.packages import fetch, resolve
from hyops_assets.image.overlay.sources import host_sources
from hyops_assets.image.programs import run
from tests.conftest import LOOKALIKE_RELEASE
from tests.tools.console import Console, powered_on
from tests.tools.seeds import SEEDS
from tests.tools.shapes import PASSWORD

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden"
TIMEOUT = 400
CONFIG = f"/boot/{LOOKALIKE_RELEASE}/rw/opt/vyatta/etc/config/config.boot"


@pytest.fixture(scope="module")
def built(lookalike: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The look-alike's disk, built as the pipeline builds it."""
    scratch = tmp_path_factory.mktemp("build")
    opened = open_iso(lookalike, release=LOOKALIKE_RELEASE, scratch=scratch)
    sources = host_sources("bookworm")
    settings = BuildSettings()
    lock = resolve(opened.squashfs.read("/var/lib/dpkg/status"), settings.packages, sources, cache / "packages")
    debs = fetch(lock, sources, cache / "packages")
    overlay = build_overlay(opened.squashfs, debs, canonical_helper(), scratch=scratch / "overlay")
    raw = scratch / "disk.raw"
    build_native(opened, overlay, disk_bytes=2 << 30, console=settings.console, destination=raw, scratch=scratch)
    return raw


@pytest.fixture
def disk(built: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "disk.raw"
    run(["cp", "--sparse=always", "--reflink=auto", built, copy])
    return copy


def seed_iso(files: dict[str, str] | None, directory: Path) -> Path | None:
    """Write a NoCloud disk as Proxmox VE attaches one, or none."""
    if files is None:
        return None
    content = directory / "seed"
    content.mkdir()
    for name, text in files.items():
        (content / name).write_text(text)
    iso = directory / "seed.iso"
    run(["xorriso", "-no_rc", "-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r", "-o", iso, content])
    return iso


def log_in(console: Console, user: str, password: str) -> str:
    """Log in on the serial console; return what it says: `Login incorrect`, or a shell's prompt."""
    console.type(user)
    console.wait_for("[Pp]assword: ")
    console.type(password)
    return console.wait_for(r"Login incorrect|\$ $|# $")[0]


@pytest.mark.parametrize("name", ["hetzner", "proxmox", "nothing"])
def test_a_booted_guest_writes_its_golden_configuration_and_nobody_logs_in_as_vyos(name, disk, tmp_path):
    seed = seed_iso(SEEDS[name], tmp_path)
    with powered_on(disk, accelerator=probe(), scratch=tmp_path, timeout=TIMEOUT, seed=seed) as console:
        console.wait_for(r"login: $")
        assert log_in(console, "vyos", "vyos") == "Login incorrect"
        if name == "proxmox":
            # The same door opens for whom the owner named, so that the refusal above means something.
            console.wait_for(r"login: $")
            assert "$" in log_in(console, "netadmin", PASSWORD)
        console.power_off()
    written = run(["debugfs", "-R", f"cat {CONFIG}", f"{disk}?offset={ROOT_SECTOR * 512}"]).text
    assert written == (GOLDEN / f"{name}.boot").read_text()
    assert ("nobody can log in, and SSH is off" in console.text) == (name == "nothing")
