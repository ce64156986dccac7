"""The source document's commands as printed, in an empty home, against the lab: from validation to verification.

The lab's release is the miniature, and the disk is small: how a disk that boots comes out is tests/cli/test_demo.py.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.assets.ground import Ground
from tests.cli.home import Home
from tests.cli.miniature_home import build_as_the_ground, cache_with_miniature, ground_boots
from tests.ui.served import CHECKOUT

RELEASE = "2026.03.03-0027-rolling"
VALIDATE = """\
hyops validate --env dev --skip-preflight \\
--module core/shared/vyos-image-build \\
--inputs modules/core/shared/vyos-image-build/examples/inputs.gcs-state.yml
"""
APPLY = """\
hyops apply --env dev \\
--module core/shared/vyos-image-build \\
--inputs modules/core/shared/vyos-image-build/examples/inputs.gcs-state.yml
"""
VERIFY = """\
jq '.status,.outputs' \\
"$HOME/.hybridops/envs/dev/state/modules/core__shared__vyos-image-build/instances/vyos_default_build.json"
jq '.status,.outputs' \\
"$HOME/.hybridops/envs/dev/state/modules/core__hetzner__vyos-image-seed/latest.json"
jq '.status,.outputs' \\
"$HOME/.hybridops/envs/dev/state/modules/core__onprem__vyos-template-seed/latest.json"
"""
BEFORE_DELETING = """\
jq '.outputs.image_ref,.outputs.image_description' \\
"$HOME/.hybridops/envs/dev/state/modules/core__hetzner__vyos-image-seed/latest.json"
jq '.outputs.template_vm_id,.outputs.template_name' \\
"$HOME/.hybridops/envs/dev/state/modules/core__onprem__vyos-template-seed/latest.json"
"""


class Shell(Home):
    """A login shell in the checkout, whose home is empty."""

    def run(self, script: str, *, within: float = 60) -> str:
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def answers(printed: str) -> list[object]:
    """The JSON values that jq printed, one after another."""
    found: list[object] = []
    decoder = json.JSONDecoder()
    rest = printed.lstrip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].lstrip()
    return found


def created(shell: Shell) -> int:
    """How many requests the bucket took in; the public-read marker is offered each time, and refused as taken."""
    asked = shell.lab.trace().requests()
    return sum(one.system == "gcs" and one.mutating and one.status == 200 for one in asked)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, ground: Ground) -> Iterator[Shell]:
    """An empty home, for whose lab the miniature is the release's ISO."""
    cache = cache_with_miniature(ground, tmp_path_factory.mktemp("cache"))
    shell = Shell(tmp_path_factory.mktemp("home"), cache)
    yield shell
    shell.run("hyops lab down --env dev")


def test_the_document_validates_in_an_empty_home(tmp_path: Path) -> None:
    printed = Shell(tmp_path).run(VALIDATE)
    assert "warning: org/gcp/object-repo#vyos_records has no state" in printed
    assert "module=core/shared/vyos-image-build status=ok" in printed


def test_validating_imports_nothing_that_only_the_graph_needs(tmp_path: Path) -> None:
    """Steadier than a stopwatch: what makes a validation slow is what it imports."""
    argv = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "hyops_assets.cli.main",
        *VALIDATE.replace("\\\n", " ").split()[1:],
    ]
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=Shell(tmp_path).environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "hyops_assets" in imported
    assert not imported & {"dagster", "httpcore", "hcloud", "proxmoxer", "asyncssh", "google"}


@pytest.mark.slow
def test_the_document_s_commands_run_as_printed(shell: Shell, ground: Ground) -> None:
    shell.run("hyops lab up --env dev")
    build_as_the_ground(shell, ground)
    shell.run(VALIDATE)
    assert "module=core/shared/vyos-image-build status=ok" in shell.run(APPLY, within=300)
    assert shell.boots() == ground_boots(ground)
    for cloud, seed in (("hetzner", "vyos-image-seed"), ("onprem", "vyos-template-seed")):
        module = f"core/{cloud}/{seed}"
        inputs = f"modules/{module}/examples/inputs.state.yml"
        shell.run(f"hyops apply --env dev --module {module} --inputs {inputs}", within=300)
    build_status, build, image_status, image, template_status, template = answers(shell.run(VERIFY))
    assert [build_status, image_status, template_status] == ["ok", "ok", "ok"]
    assert isinstance(build, dict)
    assert isinstance(image, dict)
    assert isinstance(template, dict)
    base = f"/hyops-lab-vyos-records-a1/network/vyos/vyos-1.5-{RELEASE}"
    assert build["record_url"].endswith(f"{base}.qcow2")
    assert image["image_source_url"].endswith(f"{base}.raw.xz")
    assert template["template_source_url"] == build["record_url"]
    assert build["artifacts"]["vyos-1.5"]["artifact_sha256"] == build["record_sha256"]
    described = answers(shell.run(BEFORE_DELETING))
    assert described == [
        image["image_ref"],
        f"hyops-vyos-1.5-{RELEASE}",
        template["template_vm_id"],
        template["template_name"],
    ]


@pytest.mark.slow
def test_the_iso_came_from_our_mirror_and_the_record_went_into_the_bucket(shell: Shell) -> None:
    asked = shell.lab.trace().requests()
    isos = [(one.method, one.status) for one in asked if one.system == "feed" and one.path.endswith(".iso")]
    # Looked for before anything moves, fetched once.
    assert [status for method, status in isos if method == "GET"] == [200]
    document = json.loads(shell.run("hyops show --env dev --json core/shared/vyos-image-build#vyos_default_build"))
    evidence = document["outputs"]["evidence_url"]
    printed = shell.run(f'eval "$(hyops lab env --env dev)"; curl -fsS {evidence}')
    ports = json.loads(shell.lab.ports.read_text())
    assert f"https://127.0.0.1:{ports['feed']}/{RELEASE}/" in printed


@pytest.mark.slow
def test_no_key_of_the_lab_is_on_disk(shell: Shell) -> None:
    held = [path for path in shell.root.rglob("*") if path.is_file() and path.stat().st_size < 1 << 20]
    assert not [path for path in held if b"BEGIN PRIVATE KEY" in path.read_bytes()]


@pytest.mark.slow
def test_applied_again_the_document_sends_nothing(shell: Shell) -> None:
    state = shell.root / "state/modules/core__shared__vyos-image-build/instances/vyos_default_build.json"
    before = json.loads(state.read_text())["outputs"]
    uploaded = created(shell)
    shell.run(APPLY, within=600)
    assert json.loads(state.read_text())["outputs"] == before
    assert created(shell) == uploaded
