"""A record that others published, registered from a shell; and a seed command that prints what it was trusted with."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_assets.contract.references import IMAGE_ARTIFACT, IMAGE_BUILD, TEMPLATE_SEED, StateRef
from hyops_assets.image.digests import sha256_of_file
from resources.states.store import StateStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli.shell import files_below, hyops

BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"
STATE = "core__shared__vyos-image-artifact/latest.json"
NAME = f"vyos-1.5-{RELEASE}.qcow2"


def apply(
    lab_environment: LabEnvironment,
    directory: Path,
    module: str,
    given: dict[str, Any],
    *,
    command: str = "apply",
    **environ: str,
) -> Any:
    inputs = directory / "inputs.yml"
    inputs.write_text(yaml.safe_dump(given))
    words = (command, "--root", lab_environment.root.path, "--module", module, "--inputs", inputs)
    return hyops({**os.environ, "HOME": str(lab_environment.root.path), **environ}, *words)


@pytest.mark.slow
def test_registering_from_a_shell_verifies_first_and_a_seed_command_tells_no_secret(
    home: LabEnvironment, seeded: LabEnvironment, tmp_path: Path
) -> None:
    theirs = home.lab.files.objects / "theirs"
    theirs.mkdir(parents=True)
    shutil.copy(seeded.lab.files.objects / "network/vyos" / NAME, theirs)
    base = home.settings.repository.public_base_url
    assert base is not None
    url, sha256 = f"{base.rstrip('/')}/theirs/{NAME}", sha256_of_file(theirs / NAME)
    claimed = {"artifact_version": RELEASE, "artifact_url": url, "artifact_sha256": sha256}

    lied = apply(home, tmp_path, IMAGE_ARTIFACT, claimed | {"artifact_sha256": "0" * 64})
    assert lied.returncode == 1
    assert f"module={IMAGE_ARTIFACT} status=error run_id=apply-" in lied.stdout
    assert "Traceback" not in lied.stdout + lied.stderr
    assert (home.state(STATE)["status"], home.state(STATE)["outputs"]) == ("error", {})

    ran = apply(home, tmp_path, IMAGE_ARTIFACT, claimed)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert re.search(rf"^module={IMAGE_ARTIFACT} status=ok run_id=apply-\S+$", ran.stdout, re.MULTILINE)
    outputs = home.state(STATE)["outputs"]
    assert (outputs["artifact_url"], outputs["artifact_sha256"], outputs["artifact_version"]) == (url, sha256, RELEASE)
    assert not [name for name in home.published() if not name.startswith("theirs/")]

    trusted = "a-secret-with-an-odd-name-0123456789"
    by_command = {
        "record_url": url,
        "record_version": RELEASE,
        "record_sha256": sha256,
        "seed_command": 'echo "using $ODDLY_NAMED"; echo "failed with $ODDLY_NAMED" >&2; exit 7',
        "required_env": ["ODDLY_NAMED"],
    }
    failed = apply(home, tmp_path, TEMPLATE_SEED, by_command, ODDLY_NAMED=trusted)
    assert failed.returncode == 1
    assert "exit status 7" in failed.stderr
    assert trusted not in failed.stdout + failed.stderr
    assert home.state("core__onprem__vyos-template-seed/latest.json")["status"] == "error"
    assert [path for path in files_below(home.root.path) if trusted.encode() in path.read_bytes()] == []


def test_what_this_environment_published_itself_is_refused_before_its_slot_says_anything(
    seeded: LabEnvironment, tmp_path: Path
) -> None:
    former = StateStore(seeded.root).find(StateRef(IMAGE_ARTIFACT))
    own = {"record_version": RELEASE, "record_document_url": seeded.state(BUILD)["outputs"]["record_document_url"]}
    for command in ("apply", "plan"):
        ran = apply(seeded, tmp_path, IMAGE_ARTIFACT, own, command=command)
        assert f"published {RELEASE} itself" in ran.stderr
        assert ran.stderr.count("next: ") == 1
        assert f"name record_state_ref: {IMAGE_BUILD}#vyos_default_build" in ran.stderr
    assert StateStore(seeded.root).find(StateRef(IMAGE_ARTIFACT)) == former
