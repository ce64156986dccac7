import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.intake.iso import OpenedIso, open_iso
from hyops_assets.image.methods.method import BuildRequest
from hyops_assets.image.methods.native import build_native
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.overlay.packages import fetch, resolve
from hyops_assets.settings.build import BuildSettings
from hyops_lab.miniature import saved_config
from tests.image.conftest import RELEASE, Workshop

INSTALLED_BYTES = 1 << 30
"""vyos-vm-images makes disks of whole GiB."""

CONFIG = "/opt/vyatta/etc/config/config.boot"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


class RequestFor(Protocol):
    def __call__(self, directory: Path, **changes: Any) -> BuildRequest: ...


@pytest.fixture(scope="session")
def opened_once(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> OpenedIso:
    return open_iso(workshop.iso.iso, release=RELEASE, scratch=tmp_path_factory.mktemp("opened-once"))


@pytest.fixture(scope="session")
def overlay(workshop: Workshop, opened_once: OpenedIso, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    status = opened_once.squashfs.read("/var/lib/dpkg/status")
    lock = resolve(status, workshop.settings.packages, [workshop.source], workshop.cache)
    debs = fetch(lock, [workshop.source], workshop.cache)
    return build_overlay(opened_once.squashfs, debs, workshop.helper, scratch=tmp_path_factory.mktemp("overlay"))


@pytest.fixture(scope="session")
def installed(opened_once: OpenedIso, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk as an installer leaves it: bootable, with a login and a host key of its own, without cloud-init."""
    directory = tmp_path_factory.mktemp("installed")
    left = Tree()
    for path in ("/opt", "/opt/vyatta", "/opt/vyatta/etc", "/opt/vyatta/etc/config", "/etc", "/etc/ssh"):
        left.add_directory(path)
    for path, text in ((CONFIG, saved_config(RELEASE)), (HOST_KEY, "a private key\n")):
        held = directory / Path(path).name
        held.write_text(text)
        left.add_file(path, held)
    disk = directory / "installed.raw"
    build_native(opened_once, left, disk_bytes=INSTALLED_BYTES, console="ttyS0", destination=disk, scratch=directory)
    return disk


@pytest.fixture
def request_for(workshop: Workshop, opened_once: OpenedIso, overlay: Tree) -> RequestFor:
    def made(directory: Path, **changes: Any) -> BuildRequest:
        scratch = directory / "scratch"
        scratch.mkdir()
        settings = {"disk_bytes": INSTALLED_BYTES, **changes}
        return BuildRequest(
            iso=workshop.iso.iso,
            opened=opened_once,
            overlay=overlay,
            helper=workshop.helper,
            version=f"{RELEASE}-r2",
            source_iso_url="https://example.net/vyos.iso",
            settings=BuildSettings.model_validate(settings),
            destination=directory / "disk.raw",
            scratch=scratch,
        )

    return made


@pytest.fixture
def own_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
