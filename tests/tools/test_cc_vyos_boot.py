"""What only a boot shows of the cloud-init module: a real console, and who is let in there.

Whatever cloud-init makes of which metadata is tested in `test_cc_vyos_in_cloud_init`, in seconds.
"""

from pathlib import Path

import pytest

from hyops_assets.image.credentials import CONFIG_DIRECTORY, NO_PASSWORD
from hyops_assets.image.inspection.questions import Expected, inspect
from hyops_assets.image.methods.native import ROOT_SECTOR
from hyops_assets.image.programs import run
from tests.conftest import LOOKALIKE_RELEASE
from tests.first_boot import REFUSED, FirstBoot

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("first-boot")]

GOLDEN = Path(__file__).parent / "golden" / "proxmox.boot"
UPPER = f"/boot/{LOOKALIKE_RELEASE}/rw"
MOUNTED = "/config/config.boot"
"""Where VyOS' live-boot puts the configuration's directory at the first boot."""


def read_file(disk: Path, path: str) -> str:
    """Return a file of the overlay's upper layer; nothing where it does not exist."""
    return run(["debugfs", "-R", f"cat {UPPER}{path}", f"{disk}?offset={ROOT_SECTOR * 512}"]).text


def test_on_the_disk_is_the_golden_configuration(first_boot: FirstBoot) -> None:
    assert read_file(first_boot.disk, MOUNTED) == GOLDEN.read_text()


def test_an_inspection_finds_the_logins_of_a_disk_that_has_booted(first_boot: FirstBoot, tmp_path: Path) -> None:
    """As of a disk that was captured from a running router: what stands in /config is what counts."""
    findings = inspect(first_boot.disk, Expected(LOOKALIKE_RELEASE), tmp_path)
    details = {finding.name: finding.detail for finding in findings if finding.outcome == "failed"}
    for question in ("no_default_credentials", "no_authorized_keys", "no_hardware_id"):
        assert MOUNTED in details[question]


def test_the_isos_login_is_refused_and_the_owners_user_gets_in(first_boot: FirstBoot) -> None:
    """That the second one got a shell is in the boot itself: it typed there what `seen` reads."""
    assert first_boot.console.count(REFUSED) == 1
    assert all(first_boot.seen())


def test_a_bad_line_shows_on_the_serial_console(first_boot: FirstBoot) -> None:
    assert "vyos: vyos_config_commands, line 1: VyOS has no such node" in first_boot.console


def test_a_guest_that_finds_no_metadata_starts_from_a_configuration_without_a_login(lookalike_disk: Path) -> None:
    """cloud-init switches itself off there; what counts is the default, shut when the disk was built."""
    assert read_file(lookalike_disk, f"{CONFIG_DIRECTORY}/config.boot") == ""
    assert f'encrypted-password "{NO_PASSWORD}"' in read_file(lookalike_disk, "/usr/share/vyos/config.boot.default")
