import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hyops_assets.contract.version import iso_file_name
from hyops_assets.image.build import build_disk
from hyops_assets.image.shipped import canonical_helper
from hyops_assets.settings.build import BuildSettings
from hyops_lab.authority import Authority
from hyops_lab.grub_modules import lab_cache
from hyops_lab.hetzner.answers import OBSERVERS as HETZNER_OBSERVERS
from hyops_lab.lookalike import make_lookalike
from hyops_lab.proxmox.server import OBSERVERS as PROXMOX_OBSERVERS
from tests.first_boot import FirstBoot, first_boot_of
from tests.shared_ground import made_once
from tests.specs import HETZNER, OpenApi, require_specification
from tests.specs_proxmox import PROXMOX, SpecWatch
from tests.unsynced import keep_connections_and_migrations, write_without_fsync

pytest_plugins = [
    "pytester",
    "tests.suite.boot_limit",
    "tests.suite.failing",
    "tests.suite.order",
    "tests.suite.pace",
    "tests.suite.preflight",
]

write_without_fsync()
keep_connections_and_migrations()
# How long an example takes to make or to run says how busy the machine is. A test that takes a function's fixture
# bears that all its examples share it.
_PATIENT = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.register_profile("here", _PATIENT)
# Where a red run blocks all work, the same examples are tried each time; everywhere else new ones are.
settings.register_profile("ci", _PATIENT, derandomize=True, print_blob=True)
settings.load_profile("here")
if os.environ.get("CI"):
    settings.load_profile("ci")

LOOKALIKE_RELEASE = "2026.03.03-0027-rolling"
LOOKALIKE_DISK_BYTES = 2 << 30


def pytest_collection_finish() -> None:
    """Spare the tests the walks over the million objects that stand until the run ends: a fifteenth of their time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def watched() -> Iterator[tuple[OpenApi, SpecWatch]]:
    """Look at every request and answer of every stand-in of this process, of any caller."""
    hetzner, proxmox = OpenApi(HETZNER), SpecWatch()
    HETZNER_OBSERVERS.append(hetzner)
    PROXMOX_OBSERVERS.append(proxmox)
    yield hetzner, proxmox
    HETZNER_OBSERVERS.remove(hetzner)
    PROXMOX_OBSERVERS.remove(proxmox)


@pytest.fixture(autouse=True)
def all_that_is_said_fits_the_vendors_schemas(watched: tuple[OpenApi, SpecWatch]) -> Iterator[None]:
    """Fail the test in which a stand-in was asked, or answered, what the vendor's schema does not have."""
    hetzner, proxmox = watched
    before = hetzner.watched, proxmox.watched
    yield
    problems = [*hetzner.problems, *proxmox.violations]
    hetzner.problems.clear()
    proxmox.violations.clear()
    assert problems == []
    # In a lone clone, the tests that are about the schemas are skipped; where a red run blocks all work, all fail.
    if (hetzner.watched, proxmox.watched) != before and os.environ.get("CI") == "true":
        require_specification(HETZNER)
        require_specification(PROXMOX)


@pytest.fixture(autouse=True)
def environment_as_it_was() -> Iterator[None]:
    """Put the process's variables back: opening an instance sets some, and the next test would find them."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def cache() -> Path:
    """What tests need not fetch twice: the lab's own cache, kept between runs."""
    return lab_cache()


@pytest.fixture(scope="session")
def lookalike(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unsigned look-alike ISO of LOOKALIKE_RELEASE that boots: a minute the first time, then seconds."""
    name = iso_file_name(LOOKALIKE_RELEASE)

    def make(directory: Path) -> None:
        make_lookalike(directory / name, LOOKALIKE_RELEASE, cache=cache)

    return made_once(tmp_path_factory, "lookalike", make) / name


@pytest.fixture(scope="session")
def lookalike_disk(lookalike: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The look-alike's raw disk, built as the pipeline builds it. A test that changes it makes a copy before."""

    def make(directory: Path) -> None:
        build_disk(
            lookalike,
            release=LOOKALIKE_RELEASE,
            settings=BuildSettings(disk_bytes=LOOKALIKE_DISK_BYTES, menu_timeout_seconds=1),
            helper=canonical_helper(),
            lock=None,
            cache=cache / "packages",
            destination=directory / "disk.raw",
            scratch=directory,
        )

    return made_once(tmp_path_factory, "lookalike-disk", make) / "disk.raw"


@pytest.fixture(scope="session")
def first_boot(lookalike_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstBoot:
    """The look-alike's first boot as a Proxmox guest on a larger disk: its disk afterwards, and its console."""
    return first_boot_of(lookalike_disk, tmp_path_factory)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that anonymous clients of this test trust, and no proxy between."""
    made = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate_file))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return made
