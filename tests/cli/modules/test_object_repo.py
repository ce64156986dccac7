"""`org/gcp/object-repo` as a shell runs it, against the stand-in, through Google's own client."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_assets.cli.apply import apply_module
from hyops_assets.cli.environment import Place
from hyops_assets.cli.prepare import ModuleCommand
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import OBJECT_REPO, StateRef
from hyops_assets.settings.object_repo import repository_settings
from hyops_lab.authority import Authority
from resources.states.store import StateStore
from tests.gcs_scene import GcsScene, gcs_scene, trust

BUCKET = "hyops-dev-vyos-records-a1"
RECORDS = StateRef(OBJECT_REPO, "vyos_records")


@dataclass
class Shell:
    """A runtime root of its own, with the administrator's key in the environment."""

    root: RuntimeRoot
    scene: GcsScene
    directory: Path

    def apply(self, module: str = OBJECT_REPO, **inputs: Any) -> None:
        given = {"project_id": "hyops-lab", "bucket_name": BUCKET, "endpoint": self.scene.stand_in.url, **inputs}
        file = self.directory / "inputs.yml"
        file.write_text(yaml.safe_dump(given))
        apply_module(ModuleCommand("apply", Place(self.root, ""), module, file))

    def state(self, ref: StateRef = RECORDS) -> dict[str, Any]:
        return json.loads((self.root.states / ref.path).read_text())


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    authority = Authority(tmp_path / "authority")
    trust(authority, monkeypatch)
    with gcs_scene(tmp_path / "gcs", authority) as scene:
        monkeypatch.setenv("HYOPS_VYOS_GCS_SA_JSON", json.dumps(scene.key("owner")))
        monkeypatch.delenv("HYOPS_VYOS_GCS_SA_JSON_FILE", raising=False)
        (tmp_path / "root").mkdir()
        yield Shell(RuntimeRoot(tmp_path / "root"), scene, tmp_path)


def test_applying_writes_the_state_that_the_document_s_reference_names(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.apply()
    state = shell.state()
    email = "objectrepo@hyops-lab.iam.gserviceaccount.com"
    hint = f"gcloud iam service-accounts keys create objectrepo.json --iam-account={email} --project=hyops-lab"
    assert (state["status"], state["state_instance"]) == ("ok", "vyos_records")
    assert state["requirements"] == {"credentials": ["gcp"]}
    assert state["outputs"] == {
        "repo_backend": "gcs",
        "repo_provider": "gcp",
        "repo_bucket_name": BUCKET,
        "repo_project_id": "hyops-lab",
        "repo_region": "EU",
        "repo_public_base_url": f"{shell.scene.stand_in.url}/{BUCKET}",
        "repo_endpoint": shell.scene.stand_in.url,
        "repo_principal_type": "service_account",
        "repo_principal_name": email,
        "repo_credential_create_hint": hint,
        "bucket_name": BUCKET,
        "service_account_email": email,
        "gcloud_sa_key_hint": hint,
        "lab": False,
    }
    assert hint in capsys.readouterr().out.replace("\n", "")


def test_no_key_is_written_anywhere(shell: Shell) -> None:
    shell.apply()
    key = shell.scene.key("owner")
    held = [path for path in shell.root.path.rglob("*") if path.is_file()]
    assert len(held) > 5
    assert not [path for path in held if key["private_key_id"] in path.read_text() or "PRIVATE" in path.read_text()]


def test_a_repeated_apply_changes_nothing_in_the_cloud(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.apply()
    before = shell.scene.writes
    outputs = shell.state()["outputs"]
    capsys.readouterr()
    shell.apply()
    assert "adopted" in capsys.readouterr().out
    assert (shell.scene.writes, shell.state()["outputs"]) == (before, outputs)


def test_a_slot_s_bucket_is_never_renamed(shell: Shell) -> None:
    shell.apply()
    before = shell.state(), shell.scene.writes
    with pytest.raises(HyopsError, match=f"refusing bucket rename for existing state slot {RECORDS}: it has {BUCKET}"):
        shell.apply(bucket_name="hyops-dev-vyos-records-b2")
    assert (shell.state(), shell.scene.writes) == before


def test_another_bucket_has_a_slot_of_its_own(shell: Shell) -> None:
    shell.apply()
    shell.apply(f"{OBJECT_REPO}#second", bucket_name="hyops-dev-vyos-records-b2")
    assert shell.state(StateRef(OBJECT_REPO, "second"))["outputs"]["bucket_name"] == "hyops-dev-vyos-records-b2"
    assert shell.state()["outputs"]["bucket_name"] == BUCKET


def test_a_bucket_of_others_is_refused_and_no_state_says_otherwise(shell: Shell) -> None:
    shell.scene.stand_in.provide_foreign_bucket(BUCKET)
    with pytest.raises(HyopsError, match="the name is taken by others"):
        shell.apply()
    state = StateStore(shell.root).find(RECORDS)
    assert state is None or state.status != "ok"


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"bucket_name": "Records"}, "bucket_name"),
        ({"bucket_name": "google-records"}, "contain google"),
        ({"project_id": "1abc"}, "project_id"),
        ({"project_id": "CHANGE_ME"}, "placeholders"),
        ({"uniform_bucket_level_access": False}, "leave it true"),
        ({"lifecycle_delete_age_days": -1}, "lifecycle_delete_age_days"),
        ({"storage_class": "GLACIER"}, "storage_class"),
        ({"service_account_id": "short"}, "service_account_id"),
        ({"endpoint": "http://127.0.0.1:1"}, "endpoint"),
        ({"public_base_url": "https://user@host/x"}, "public_base_url"),
        ({"sa_json": "{}"}, "sa_json"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_inputs_are_refused_before_anything_is_asked(shell: Shell, inputs: dict[str, Any], why: str) -> None:
    before = len(shell.scene.seen())
    with pytest.raises(HyopsError, match=why):
        shell.apply(**inputs)
    assert len(shell.scene.seen()) == before


def test_a_run_that_names_the_state_has_its_bucket_as_repository(shell: Shell) -> None:
    shell.apply()
    state = StateStore(shell.root).find(RECORDS)
    assert state is not None
    settings = repository_settings(RECORDS, state.outputs)
    assert (settings.kind, settings.bucket, settings.lab) == ("gcs", BUCKET, False)
    assert settings.public_base_url == f"{shell.scene.stand_in.url}/{BUCKET}"
