"""The compatibility path from a shell: a record that was registered with its qcow2 alone, wrapped here for Hetzner."""

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from hyops_assets.cli.main import app
from hyops_assets.cli.modules.wrap_outlook import wrapper_checks
from hyops_assets.contract.inputs import ImageSeedInputs
from hyops_assets.contract.references import IMAGE_ARTIFACT, IMAGE_SEED, StateRef
from hyops_assets.image.digests import sha256_of_file
from resources.sites.hetzner.staging import STAGING
from tests.assets.environment import RELEASE, LabEnvironment
from tests.contract.samples import contract

NAME = f"vyos-1.5-{RELEASE}.qcow2"
NOWHERE = "http://127.0.0.1:1"
HETZNER_IMAGE = dg.AssetKey("hetzner_image")
STATE = "core__hetzner__vyos-image-seed/latest.json"


@dataclass(frozen=True)
class Ended:
    status: int
    said: str


@dataclass
class Shell:
    """One seed's inputs, asked of `hyops` in this process."""

    home: LabEnvironment
    directory: Path
    given: dict[str, Any]

    def hyops(
        self, command: str, given: Mapping[str, Any] = MappingProxyType({}), *, module: str = IMAGE_SEED
    ) -> Ended:
        inputs = self.directory / "inputs.yml"
        inputs.write_text(yaml.safe_dump(self.given | dict(given) if module == IMAGE_SEED else dict(given)))
        before = dict(os.environ)
        words = [command, "--root", str(self.home.root.path), "--module", module, "--inputs", str(inputs)]
        ran = CliRunner().invoke(app, words)
        os.environ.clear()
        os.environ.update(before)
        return Ended(ran.exit_code, f"{ran.output}{ran.exception or ''}")

    def mutations(self) -> int:
        return self.home.mutations()["hetzner"]


def staging() -> set[str]:
    """What stands in the wrapper's directory, of any process."""
    return {path.name for path in STAGING.iterdir()} if STAGING.is_dir() else set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def shell(home: LabEnvironment, seeded: LabEnvironment, tmp_path: Path) -> Shell:
    """An environment that knows a record by its qcow2 alone."""
    theirs = home.lab.files.objects / "theirs"
    theirs.mkdir(parents=True)
    shutil.copy(seeded.lab.files.objects / "network/vyos" / NAME, theirs)
    url = f"{str(home.settings.repository.public_base_url).rstrip('/')}/theirs/{NAME}"
    shell = Shell(home, tmp_path, {"record_state_ref": str(StateRef(IMAGE_ARTIFACT))})
    claimed = {"artifact_version": RELEASE, "artifact_url": url, "artifact_sha256": sha256_of_file(theirs / NAME)}
    registered = shell.hyops("apply", claimed, module=IMAGE_ARTIFACT)
    assert registered.status == 0, registered.said
    return shell


def test_each_condition_is_a_check_and_only_where_all_hold_a_snapshot_is_made(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, port = staging(), free_port()
    on_purpose = {"seed_wrapper_public_base_url": f"http://127.0.0.1:{port}", "seed_wrapper_bind_port": port}

    unasked = shell.hyops("preflight")
    assert (unasked.status, f"missing wrapper:purpose {RELEASE} has no raw.xz" in unasked.said) == (11, True), unasked
    assert "set seed_wrapper_public_base_url" in unasked.said
    refused = shell.hyops("apply")
    assert (refused.status, "seed_wrapper_public_base_url" in refused.said) == (1, True), refused

    elsewhere = shell.hyops("preflight", on_purpose | {"seed_wrapper_bind_port": free_port()})
    assert (elsewhere.status, "fail wrapper:reached" in elsewhere.said) == (11, True), elsewhere
    refused = shell.hyops("apply", on_purpose | {"seed_wrapper_bind_port": free_port()})
    assert (refused.status, "does not answer" in refused.said) == (1, True), refused

    with socket.create_server(("127.0.0.1", port)):
        taken = shell.hyops("preflight", on_purpose)
    assert f"fail wrapper:reached port {port} cannot be listened on" in taken.said, taken

    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "curl").symlink_to(str(shutil.which("curl")))
    with monkeypatch.context() as patched:
        patched.setattr("hyops_assets.image.programs._PATH", str(bare))
        without = shell.hyops("preflight", on_purpose)
    assert (without.status, "missing cmd:qemu-img" in without.said) == (11, True), without
    assert "wrapper:reached" not in without.said

    ready = shell.hyops("preflight", on_purpose)
    assert (ready.status, "ok wrapper:reached" in ready.said) == (0, True), ready
    assert shell.mutations() == 0
    assert not (shell.home.root.states / STATE).exists()
    assert staging() <= before

    done = shell.hyops("apply", on_purpose)
    assert done.status == 0, done
    contents = shell.home.lab.hetzner.project.contents
    (image,) = [image for image in contents.images.values() if image.kind == "snapshot"]
    outputs = shell.home.state(STATE)["outputs"]
    assert (str(outputs["image_ref"]), outputs["record_version"]) == (str(image.id), RELEASE)
    assert (contents.servers, contents.keys) == ({}, {})
    assert staging() <= before
    (event,) = shell.home.instance.fetch_materializations(HETZNER_IMAGE, limit=2).records
    assert event.asset_materialization is not None
    said = event.asset_materialization.metadata
    assert str(said["source"].value).endswith(f"{NAME}, wrapped by this host")
    assert said["readback_sha256"].value == said["disk_sha256"].value

    again = shell.mutations()
    held = shell.hyops("preflight")
    assert (held.status, f"snapshot {image.id} holds the record" in held.said) == (0, True), held
    assert shell.hyops("apply").status == 0
    assert shell.mutations() == again


def test_an_address_that_leads_nowhere_from_hetzner_is_no_way_at_a_real_project() -> None:
    whole = contract()
    registered = whole.model_copy(update={"urls": {"qcow2": whole.urls["qcow2"]}})
    inputs = ImageSeedInputs(record_state_ref="core/shared/vyos-image-artifact", seed_wrapper_public_base_url=NOWHERE)
    last = wrapper_checks(inputs, registered, lab=False)[-1]
    assert (last.name, last.status) == ("wrapper:reached", "fail")
    assert "leads nowhere from Hetzner's network" in last.detail
