"""The look-alike boots with its real kernel, systemd and cloud-init; config.boot is read from the disk it wrote."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hyops_assets.image.boot.accelerator import probe
from hyops_assets.image.credentials import CONFIG_DIRECTORY, DEFAULT_CONFIGS, NO_PASSWORD
from hyops_assets.image.methods.native import ROOT_SECTOR
from hyops_assets.image.programs import run
from tests.conftest import LOOKALIKE_RELEASE
from tests.tools.console import Console, converse
from tests.tools.seeds import COMMANDS, SEEDS
from tests.tools.shapes import PASSWORD

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden"
TIMEOUT = 400
UPPER = f"/boot/{LOOKALIKE_RELEASE}/rw"
CONFIG = f"{CONFIG_DIRECTORY}/config.boot"
REFUSED = "Login incorrect"


@pytest.fixture
def disk(lookalike_disk: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "disk.raw"
    run(["cp", "--sparse=always", "--reflink=auto", lookalike_disk, copy])
    return copy


def seed_iso(files: dict[str, str], directory: Path) -> Path:
    """Write a NoCloud disk as Proxmox VE attaches one."""
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
    return console.wait_for(rf"{REFUSED}|\$ $")[0]


def read_file(disk: Path, path: str) -> str:
    """Return a file of the overlay's upper layer; nothing where it does not exist."""
    return run(["debugfs", "-R", f"cat {UPPER}{path}", f"{disk}?offset={ROOT_SECTOR * 512}"]).text


def boot(disk: Path, dialogue: Callable[[Console], None], scratch: Path, seed: Path | None = None) -> str:
    return converse(disk, dialogue, accelerator=probe(), scratch=scratch, timeout=TIMEOUT, seed=seed)


def isos_login_is_refused(console: Console) -> None:
    console.wait_for(r"login: $")
    assert log_in(console, "vyos", "vyos") == REFUSED


def only_the_owners_user_gets_in(console: Console) -> None:
    isos_login_is_refused(console)
    console.wait_for(r"login: $")
    # The same door opens for whom the owner named, so that the refusals mean something.
    assert log_in(console, "netadmin", PASSWORD) != REFUSED


def test_hetzners_network_gives_the_golden_configuration_and_a_bad_line_shows_on_the_console(disk, tmp_path):
    commands = yaml.safe_dump({"vyos_config_commands": [*COMMANDS, "set system host-nam 'x'"]})
    seed = seed_iso({**SEEDS["hetzner"], "user-data": f"#cloud-config\n{commands}"}, tmp_path)
    printed = boot(disk, isos_login_is_refused, tmp_path, seed)
    assert read_file(disk, CONFIG) == (GOLDEN / "hetzner.boot").read_text()
    assert f"vyos: vyos_config_commands, line {len(COMMANDS) + 1}: VyOS has no such node" in printed


def test_proxmoxs_dual_stack_gives_the_golden_configuration_and_its_user_logs_in(disk, tmp_path):
    boot(disk, only_the_owners_user_gets_in, tmp_path, seed_iso(SEEDS["proxmox"], tmp_path))
    assert read_file(disk, CONFIG) == (GOLDEN / "proxmox.boot").read_text()


def test_without_any_datasource_the_isos_login_is_refused(disk, tmp_path):
    boot(disk, isos_login_is_refused, tmp_path)
    # cloud-init switches itself off where it finds nothing; what counts is the default, shut when the disk was built.
    assert read_file(disk, CONFIG) == ""
    assert f'encrypted-password "{NO_PASSWORD}"' in read_file(disk, DEFAULT_CONFIGS[0])
