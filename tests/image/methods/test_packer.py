"""Packer for real: its template, and whole builds on an installer look-alike that asks VyOS' questions under QEMU."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.contract.publishable import Unpublishable, require_publishable
from hyops_assets.image.boot.accelerator import Accelerator
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.inspection.questions import Expected, inspect
from hyops_assets.image.intake.iso import OpenedIso
from hyops_assets.image.methods.installer import InstallerDiffers, random_password
from hyops_assets.image.methods.method import BuildRequest, MadeDisk
from hyops_assets.image.methods.native import build_native
from hyops_assets.image.methods.packer import NoKvm, PackerNotUsable, build_with_packer, template_variables
from hyops_assets.image.programs import run
from hyops_lab.installer import Dialect, make_installer
from hyops_lab.installer.iso import PASSWORD_PLACE
from hyops_lab.miniature import saved_config
from tests.image.conftest import RELEASE, Workshop
from tests.image.methods.conftest import CONFIG, RequestFor

DISK_BYTES = 512 << 20
TEMPLATES = Path(__file__).parents[3] / "tools" / "build" / "vyos" / "packer"
LONGEST_SOCKET_NAME = 107
DEBUG = {"allow_tcg": True, "memory_mib": 384, "boot_timeout_seconds": 240, "step_timeout_seconds": 120}


@pytest.fixture(scope="module")
def payload(opened_once: OpenedIso, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the installer writes: a plain installation whose config.boot has a place for the password."""
    directory = tmp_path_factory.mktemp("payload")
    left = Tree()
    for path in ("/opt", "/opt/vyatta", "/opt/vyatta/etc", "/opt/vyatta/etc/config"):
        left.add_directory(path)
    config = directory / "config.boot"
    config.write_text(saved_config(RELEASE) + f"// {PASSWORD_PLACE.decode()}\n")
    left.add_file(CONFIG, config)
    disk = directory / "payload.raw"
    build_native(opened_once, left, disk_bytes=DISK_BYTES, console="ttyS0", destination=disk, scratch=directory)
    return disk


@pytest.fixture
def packer() -> None:
    if shutil.which("packer") is None:
        pytest.skip("packer is not installed: Debian 13 has none")


@pytest.fixture
def installing(
    packer: None, tmp_path: Path, workshop: Workshop, payload: Path, cache: Path, request_for: RequestFor
) -> Any:
    def request(dialect: Dialect, **changes: Any) -> BuildRequest:
        # No path in the build's directory fits a socket's name.
        deep = tmp_path / ("d" * (LONGEST_SOCKET_NAME + 1))
        deep.mkdir()
        iso = make_installer(
            tmp_path / "installer.iso", workshop.iso.iso, payload, release=RELEASE, dialect=dialect, cache=cache
        )
        made = request_for(deep, method="packer", disk_bytes=DISK_BYTES, packer={**DEBUG, **changes})
        return replace(made, iso=iso)

    return request


@pytest.mark.slow
@pytest.mark.parametrize(
    # The question that a second disk adds: test_installer.
    "dialect",
    ["rolling", pytest.param("two-disks", marks=pytest.mark.long)],
)
def test_an_answered_installation_becomes_an_image(
    dialect: Dialect, installing: Any, workshop: Workshop, tmp_path: Path
) -> None:
    request: BuildRequest = installing(dialect)
    made: MadeDisk = build_with_packer(request)
    disk = request.destination
    expected = Expected(RELEASE, request.opened.squashfs_sha256, sha256_of_file(workshop.helper), "ttyS0")
    assert [finding for finding in inspect(disk, expected, tmp_path) if finding.outcome == "failed"] == []
    # The installer overwrote the first half of the place with the password; of the rest nothing stands on the disk.
    assert PASSWORD_PLACE[len(random_password()) :] not in disk.read_bytes()
    assert made.facts["reproducible"] is False
    assert list(request.scratch.glob("packer*")) == []
    if made.accelerator == "tcg":
        with pytest.raises(Unpublishable):
            require_publishable({"method": "packer", **made.facts})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dialect", "why"),
    [
        ("panics", r"(?s)Kernel panic - not syncing.*console, last lines:"),
        # What is answered to each: test_installer.
        pytest.param(
            "1.3",
            r"(?s)installer of VyOS 1\.3.*console, last lines:.*Would you like to continue\? \(Yes/No\)",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "silent", r"(?s)no question about image name within 5 s.*console, last lines:", marks=pytest.mark.long
        ),
    ],
)
def test_an_installer_that_differs_is_refused_with_its_consoles_last_lines(
    dialect: Dialect, why: str, installing: Any
) -> None:
    request: BuildRequest = installing(dialect, step_timeout_seconds=5 if dialect == "silent" else 120)
    with pytest.raises(InstallerDiffers, match=why):
        build_with_packer(request)
    assert not request.destination.exists()
    assert running_qemu(request.scratch) == []


@pytest.mark.slow
def test_a_killed_build_leaves_no_guest_behind(installing: Any) -> None:
    request: BuildRequest = installing("silent")
    program = f"""
import sys
from pathlib import Path
from hyops_assets.settings.build import BuildSettings
from hyops_assets.image.intake.iso import open_iso
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.methods.method import BuildRequest
from hyops_assets.image.methods.packer import build_with_packer
def report(stage, done, total):
    print(stage, flush=True)
scratch = Path({str(request.scratch)!r})
iso = Path({str(request.iso)!r})
opened = open_iso(iso, release={RELEASE!r}, scratch=scratch)
settings = BuildSettings.model_validate_json({request.settings.model_dump_json()!r})
build_with_packer(BuildRequest(iso, opened, Tree(), iso, {RELEASE!r}, "", settings, scratch / "d", scratch, report))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        assert any("installer: boot" in line for line in builder.stdout)
        (guest,) = running_qemu(request.scratch)
        builder.send_signal(signal.SIGKILL)
        # The console's other end and the guest's standard output are gone when it is.
        assert wait_until_gone(guest)


@pytest.mark.seconds
def test_a_build_without_kvm_is_refused_unless_it_is_for_debugging(
    request_for: RequestFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated = Accelerator("tcg", "no /dev/kvm on this machine")
    monkeypatch.setattr("hyops_assets.image.methods.packer.probe", lambda: emulated)
    with pytest.raises(NoKvm, match=r"(?s)no /dev/kvm.*allow_tcg"):
        build_with_packer(request_for(tmp_path, method="packer"))


def test_a_template_that_does_not_exist_is_refused(request_for: RequestFor, tmp_path: Path) -> None:
    packer = {**DEBUG, "template": str(tmp_path / "absent.pkr.hcl")}
    with pytest.raises(PackerNotUsable, match=r"absent\.pkr\.hcl"):
        build_with_packer(request_for(tmp_path, method="packer", packer=packer))


@pytest.mark.usefixtures("packer")
def test_our_template_is_valid_and_takes_the_variables_that_are_set(request_for: RequestFor, tmp_path: Path) -> None:
    request = request_for(tmp_path, method="packer")
    variables = template_variables(request.settings, request.iso, Accelerator("tcg", ""))
    variables |= {"console": "c", "output_directory": "o", "qemu": "/bin/true"}
    template = TEMPLATES / "vyos.pkr.hcl"
    assert set(variables) == set(re.findall(r'variable "(\w+)"', template.read_text()))
    words = [word for name, value in variables.items() for word in ("-var", f"{name}={value}")]
    environment = {"CHECKPOINT_DISABLE": "1", "PACKER_CACHE_DIR": str(tmp_path)}
    run(["packer", "validate", *words, template], env=environment, timeout=60)


def test_no_variable_of_the_template_carries_a_secret_and_nothing_is_typed_by_timers() -> None:
    text = (TEMPLATES / "vyos.pkr.hcl").read_text()
    assert "boot_command" not in text
    assert not re.search(r"<wait\d*>", text)
    assert not re.search(r"password", text, re.IGNORECASE)


def test_the_plugins_block_stands_in_a_file_of_its_own() -> None:
    assert "required_plugins" not in (TEMPLATES / "vyos.pkr.hcl").read_text()
    assert "required_plugins" in (TEMPLATES / "plugins.pkr.hcl").read_text()


def running_qemu(scratch: Path) -> list[int]:
    """The QEMU processes of a build, by their working directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if b"qemu-system" in command.split(b"\0")[0] and (process / "cwd").readlink().is_relative_to(scratch):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_until_gone(pid: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 20)[0])
    finally:
        os.close(descriptor)
