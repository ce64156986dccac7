"""Commands of the operator's in place of steps of ours: the same gates, the same contract, nothing on trust."""

import json
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.cli.graph import Ran, RunFailed
from hyops_assets.cli.modules.in_graph import handed_over
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import BadInputs, BuildInputs, read_inputs
from hyops_assets.contract.references import IMAGE_BUILD
from hyops_lab.cli.lab import SITE
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.clouds import PROXMOX

BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"


def run(home: LabEnvironment, **given: Any) -> Ran:
    inputs = read_inputs(IMAGE_BUILD, BuildInputs, {"record_version": RELEASE, **given})
    return home.graph(handed_over(inputs)).build(RELEASE)


def contract(home: LabEnvironment) -> Contract:
    return ArtifactStore(home.root.artifacts).read_document("published_contract", RELEASE, Contract)


@pytest.fixture
def shelf(built: LabEnvironment) -> Path:
    """A directory that a web server serves, where a publish command may put files."""
    directory = built.lab.files.objects / "theirs"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def publish(built: LabEnvironment, shelf: Path) -> str:
    """A publish command that copies a file to a web server and prints where it is."""
    base = str(built.settings.repository.public_base_url).rstrip("/")
    name = '"$(basename "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH")"'
    return (
        f'echo "$HYOPS_VYOS_ARTIFACT_FORMAT" >> {shelf}/../../order; echo copying >&2; '
        f'cp "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH" {shelf}/{name} && chmod 644 {shelf}/{name} && echo {base}/theirs/{name}'
    )


def test_a_build_command_that_fails_publishes_nothing(home: LabEnvironment) -> None:
    with pytest.raises(RunFailed, match="exit status 3"):
        run(home, build_command="echo no disk >&2; exit 3")
    assert home.published() == {}


def test_a_failing_smoke_command_refuses_unless_it_is_not_required(built: LabEnvironment) -> None:
    home = built
    with pytest.raises(RunFailed, match="smoke_verify_command refuses the disk"):
        run(home, smoke_verify_command="echo no boot; false")
    assert home.published() == {}
    ran = run(home, smoke_verify_command="echo no boot; false", smoke_verify_required=False)
    assert "warning, not required" in str(ran.metadata["qcow2_record"]["smoke verify command"])
    assert home.state(BUILD)["status"] == "ok"


def test_a_publish_command_publishes_every_object_the_commit_point_last(
    built: LabEnvironment, publish: str, shelf: Path
) -> None:
    home = built
    before = home.published()
    ran = run(home, publish_command=publish)
    made = contract(home)
    order = (shelf.parent.parent / "order").read_text().split()
    assert [order[0], order[1], order[-1]] == ["qcow2", "raw.xz", "record.json"]
    assert len(order) == 5
    assert {Path(url).parent.name for url in (*made.urls.values(), made.record_url, made.evidence_url)} == {"theirs"}
    assert {name for name in home.published() if not name.startswith("theirs/")} == set(before)
    outputs = home.state(BUILD)["outputs"]
    assert outputs["record_url"] == made.urls["qcow2"]
    assert ran.metadata["published_contract"]["outcome"] == "created"

    again = run(home, publish_command=publish)
    assert again.metadata["published_contract"]["outcome"] == "adopted"
    assert (shelf.parent.parent / "order").read_text().split() == order
    home.graph().seed(PROXMOX, SITE, RELEASE)


def test_a_publish_command_that_uploads_other_bytes_is_found_by_reading_back(
    built: LabEnvironment, publish: str, shelf: Path
) -> None:
    home = built
    with pytest.raises(RunFailed, match=r"answers .* bytes"):
        run(home, publish_command='echo more >> "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"; ' + publish)
    assert not (home.root.states / BUILD).exists()
    run(home, publish_command=publish)
    assert json.loads((shelf / f"vyos-1.5-{RELEASE}.record.json").read_text())["version"] == RELEASE


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"build_command": "one\ntwo"}, "build_command"),
        ({"publish_command": "a\rb"}, "publish_command"),
        ({"build_workdir": "/tmp"}, "build_workdir is set without build_command"),
        (
            {"build_command": "true", "record_url": "https://example.net/x.qcow2", "record_sha256": "0" * 64},
            "build_command makes a disk",
        ),
        ({"smoke_verify_required": "perhaps"}, "smoke_verify_required"),
        ({"build_command": "CHANGE_ME"}, "placeholders"),
    ],
)
def test_wrong_commands_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputs, match=said):
        read_inputs(IMAGE_BUILD, BuildInputs, {"record_version": RELEASE, **given})
