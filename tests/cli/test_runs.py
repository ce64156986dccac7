"""Runs of a module from a shell: lines, exit statuses, run records, states, slots; on one seeded environment."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_assets.cli.saved_inputs import rerun_path
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, TEMPLATE_SEED, StateRef
from hyops_lab.ensemble import HETZNER_TOKEN_ENV, PROXMOX_TOKEN_ENV
from resources.states.store import Begun, StateStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli.shell import files_below, hyops

INPUTS = f"record_state_ref: {IMAGE_BUILD}#vyos_default_build\nrecord_key: vyos-1.5\n"
LATEST = "core__hetzner__vyos-image-seed/latest.json"
RUN = r"apply-\d{8}T\d{6}Z-[0-9a-f]{8}"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "inputs.yml"
    path.write_text(INPUTS)
    return path


def run(
    lab_environment: LabEnvironment, command: str, *words: str | Path, module: str = IMAGE_SEED, **environ: str
) -> Any:
    where = ("--root", lab_environment.root.path, "--module", module)
    return hyops({**os.environ, "HOME": str(lab_environment.root.path), **environ}, command, *where, *words)


def record(lab_environment: LabEnvironment, ran: Any) -> Path:
    """The run record that a run names first and, again, at its end."""
    lines = [line.removeprefix("run record: ") for line in ran.stdout.splitlines() if line.startswith("run record: ")]
    assert len(lines) == 2, ran
    assert lines[0] == lines[1]
    return Path(lines[0])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@dataclass(frozen=True)
class Applied:
    """What an apply printed, and the environment around it."""

    consumer: Any
    ran: Any
    directory: Path
    outputs: dict[str, Any]
    calls_before: Any
    calls: Any
    state: dict[str, Any]
    runtime: dict[str, Any]


@pytest.fixture(scope="module")
def applied(seeded: LabEnvironment, inputs: Path) -> Applied:
    """A seed of what is there, applied over a state that a killed run left running; its reader came before."""
    calls, outputs = seeded.mutations(), seeded.state(LATEST)["outputs"]
    StateStore(seeded.root).begin(StateRef(IMAGE_SEED), Begun("apply-killed", "apply", "/gone"), lab=True)
    consumer = inputs.with_name("consumer.yml")
    consumer.write_text(INPUTS.replace(f"{IMAGE_BUILD}#vyos_default_build", IMAGE_SEED))
    refused = run(seeded, "apply", "--inputs", consumer)
    ran = run(seeded, "apply", "--inputs", inputs)
    directory = record(seeded, ran)
    runtime = read(seeded.root.path / "meta/runtime.json")
    state = seeded.state(LATEST)
    return Applied(refused, ran, directory, outputs, calls, seeded.mutations(), state, runtime)


def test_an_apply_prints_its_lines_in_order_and_leaves_state_and_record(
    seeded: LabEnvironment, inputs: Path, applied: Applied
) -> None:
    ran, directory = applied.ran, applied.directory
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    rerun = seeded.root.path / "config/modules/core__hetzner__vyos-image-seed/latest.inputs.yml"
    expected = [
        re.escape(f"run record: {directory}"),
        rf"module={IMAGE_SEED} status=running run_id=({RUN})",
        "progress: phase=preflight",
        "progress: phase=apply",
        r"  hetzner_image +adopted .*(?:\n  .+)*",
        r"  hetzner/lab: snapshot \d+, of \S+",
        rf"module={IMAGE_SEED} status=ok run_id=({RUN})",
        re.escape(f"run record: {directory}"),
        re.escape(f"rerun_inputs: {rerun}"),
    ]
    assert re.fullmatch("\n".join(expected) + "\n", ran.stdout), ran.stdout
    assert applied.calls == applied.calls_before
    state = applied.state
    assert (state["status"], state["run_id"], state["evidence_dir"]) == ("ok", directory.name, str(directory))
    assert state["requirements"] == {"credentials": ["hetzner"]}
    assert yaml.safe_load(rerun.read_text()) == yaml.safe_load(INPUTS)
    driver = read(directory / "driver_result.json")
    assert driver["assets"] == {"hetzner_image": "adopted"}
    run_of_graph = seeded.instance.get_run_by_id(driver["dagster_run_id"])
    assert run_of_graph is not None
    assert run_of_graph.tags["hyops/run_id"] == directory.name


def test_a_run_record_is_complete_and_private(seeded: LabEnvironment, applied: Applied) -> None:
    directory = applied.directory
    assert {path.name for path in directory.iterdir()} == {
        *("meta.json", "preflight_decision.json", "preflight_result.json", "inputs_resolved.json"),
        *("resolved.inputs.yml", "result.json", "driver_result.json", "module_state.json"),
    }
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in directory.iterdir())
    for parent in (directory, *directory.parents):
        if parent != seeded.root.path and seeded.root.path in parent.parents:
            assert parent.stat().st_mode & 0o777 == 0o700
    meta = read(directory / "meta.json")
    assert (meta["command"], meta["run_id"], meta["module_ref"]) == ("apply", directory.name, IMAGE_SEED)
    decision = read(directory / "preflight_decision.json")
    assert (decision["decision"], decision["status"], decision["guarantee"]) == ("enforce", "passed", "established")
    assert (decision["schema_version"], decision["scope"], decision["mutating"]) == (1, "module", True)
    assert read(directory / "result.json")["status"] == "ok"
    assert read(directory / "inputs_resolved.json")["record_version"] == RELEASE
    assert read(directory / "module_state.json") == applied.state
    assert applied.runtime["run_id"] == directory.name


def test_what_a_killed_run_left_running_is_no_source_and_is_begun_again(applied: Applied) -> None:
    assert (applied.consumer.returncode, applied.consumer.stdout) == (1, "")
    assert f"ERR: {IMAGE_SEED} is not ready (status=running)" in applied.consumer.stderr
    state, was = applied.state, {**applied.outputs, "image_seeded": None}
    assert (state["status"], {**state["outputs"], "image_seeded": None}) == ("ok", was)


def test_another_slot_is_written_and_the_modules_own_stays(seeded: LabEnvironment, inputs: Path) -> None:
    own = seeded.state(LATEST)
    ran = run(seeded, "apply", "--inputs", inputs, "--state-instance", "Trial.1")
    assert ran.returncode == 0, ran
    assert seeded.state(LATEST) == own
    other = seeded.state("core__hetzner__vyos-image-seed/instances/trial.1.json")
    assert (other["status"], other["state_instance"]) == ("ok", "trial.1")
    assert other["outputs"]["image_ref"] == own["outputs"]["image_ref"]
    assert "instances/trial.1.inputs.yml" in ran.stdout


def test_a_plan_says_what_is_there_and_changes_nothing(seeded: LabEnvironment, inputs: Path) -> None:
    before = seeded.mutations(), seeded.state(LATEST), seeded.published()
    ran = run(seeded, "plan", "--inputs", inputs)
    assert ran.returncode == 0, ran
    assert re.search(rf"^plan: adopt    image +{re.escape(RELEASE)} at lab: snapshot \d+$", ran.stdout, re.MULTILINE)
    ran = run(seeded, "plan", "--inputs", inputs, module=TEMPLATE_SEED)
    assert re.search(rf"^plan: adopt    template +{re.escape(RELEASE)} at lab: VMID \d+$", ran.stdout, re.MULTILINE)
    build = inputs.with_name("build.yml")
    build.write_text(f"record_version: {RELEASE}\n")
    ran = run(seeded, "plan", "--inputs", build, module=IMAGE_BUILD)
    for what in ("iso", "record", "qcow2", "raw.xz", "record.json"):
        assert re.search(rf"^plan: adopt    {re.escape(what)} ", ran.stdout, re.MULTILINE), ran.stdout
    assert (seeded.mutations(), seeded.state(LATEST), seeded.published()) == before
    assert not list(record(seeded, ran).glob("driver_result.json"))


def test_a_plan_of_a_build_that_is_not_there_names_what_it_would_make(seeded: LabEnvironment, inputs: Path) -> None:
    build = inputs.with_name("next.yml")
    build.write_text(f"record_version: {RELEASE}-r2\n")
    ran = run(seeded, "plan", "--inputs", build, module=IMAGE_BUILD)
    assert ran.returncode == 0, ran
    assert f"plan: build    record               vyos-1.5 {RELEASE}-r2 (method native)" in ran.stdout
    assert re.search(rf"^plan: publish  qcow2 +https://\S+/vyos-1.5-{re.escape(RELEASE)}-r2.qcow2$", ran.stdout, re.M)


def test_a_preflight_that_fails_touches_no_state(seeded: LabEnvironment, inputs: Path) -> None:
    before = seeded.state(LATEST)
    ran = run(seeded, "apply", "--inputs", inputs, **{HETZNER_TOKEN_ENV: ""})
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: preflight failed: credentials:hetzner: missing required credentials: ")
    assert ran.stdout.splitlines()[-2].startswith(f"module={IMAGE_SEED} status=error run_id=apply-")
    assert "phase=apply" not in ran.stdout
    assert seeded.state(LATEST) == before
    directory = record(seeded, ran)
    decision = read(directory / "preflight_decision.json")
    assert (decision["status"], decision["guarantee"]) == ("failed", "not-established")
    assert (directory / "guard_failure.json").is_file()
    assert not read(directory / "preflight_result.json")["ok"]


def test_required_variables_are_asked_for_even_where_preflight_is_skipped(
    seeded: LabEnvironment, inputs: Path
) -> None:
    before = seeded.state(LATEST)
    asked = inputs.with_name("asked.yml")
    asked.write_text(INPUTS + "required_env: [NO_SUCH_VARIABLE]\n")
    words = ("--inputs", asked, "--skip-preflight", "--preflight-bypass-reason", "a test")
    ran = run(seeded, "apply", *words)
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: missing required env vars: NO_SUCH_VARIABLE")
    assert seeded.state(LATEST) == before
    assert run(seeded, "validate", *words).returncode == 0


def test_no_secret_of_the_environment_is_written_or_printed(seeded: LabEnvironment, inputs: Path) -> None:
    """Every command, good and bad, with secrets in the environment, in a reason, and a token that the site refuses."""
    private = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"
    held = {
        HETZNER_TOKEN_ENV: "wrong-token-0123456789",
        "AWS_SECRET_ACCESS_KEY": "aws-secret-0123456789",
        "HYOPS_VYOS_GCS_SA_JSON": json.dumps({"type": "service_account", "private_key": private}),
        "MY_PASSWORD": 'pass word/&"quoted"',
        "ODDLY_NAMED": "named-by-required-env",
    }
    asked = inputs.with_name("secrets.yml")
    asked.write_text(INPUTS + "required_env: [ODDLY_NAMED]\n")
    reason = f"because {held['AWS_SECRET_ACCESS_KEY']} and {held['MY_PASSWORD']} and {held['ODDLY_NAMED']}"
    bypass = ("--skip-preflight", "--preflight-bypass-reason", reason)
    ran = [
        run(seeded, "validate", "--inputs", asked, *bypass, **held),
        run(seeded, "plan", "--inputs", asked, **held),
        run(seeded, "apply", "--inputs", asked, **held),
        run(seeded, "apply", "--inputs", asked, *bypass, **held),
        run(seeded, "apply", "--inputs", asked, **held, HYOPS_INPUT_NOTES=held["MY_PASSWORD"]),
        run(seeded, "preflight", "--inputs", asked, "--json", **held),
    ]
    assert [one.returncode for one in ran] == [0, 1, 1, 1, 1, 11]
    assert "notes holds the value of the variable MY_PASSWORD" in ran[4].stderr
    state = seeded.state(LATEST)
    assert (state["status"], state["failed_command"]) == ("error", "apply")
    assert state["outputs"]["image_ref"]
    known = [*held.values(), "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", json.dumps(held["MY_PASSWORD"])[1:-1]]
    known += [os.environ[name] for name in (HETZNER_TOKEN_ENV, PROXMOX_TOKEN_ENV)]
    printed = "".join(one.stdout + one.stderr for one in ran).encode()
    # The lab's own journals and the published bytes are not ours to keep secrets out of; blobs are disks.
    own = [path for path in files_below(seeded.root.path) if "work" not in path.relative_to(seeded.root.path).parts]
    assert any("dagster" in path.parts for path in own)
    for secret in known:
        assert secret.encode() not in printed
        assert [path for path in own if secret.encode() in path.read_bytes()] == []


def test_an_error_is_mended_by_the_next_run(seeded: LabEnvironment, inputs: Path) -> None:
    words = ("--inputs", inputs, "--skip-preflight", "--preflight-bypass-reason", "a test")
    outputs = seeded.state(LATEST)["outputs"]
    failed = run(seeded, "apply", *words, **{HETZNER_TOKEN_ENV: "wrong-token"})
    assert failed.returncode == 1
    state = seeded.state(LATEST)
    assert (state["status"], state["outputs"]) == ("error", outputs)
    assert state["last_error"].splitlines()[0] in failed.stderr
    directory = record(seeded, failed)
    assert read(directory / "result.json")["status"] == "error"
    assert read(directory / "driver_result.json")["dagster_run_id"]
    assert read(directory / "preflight_decision.json")["reason"] == "a test"
    mended = run(seeded, "deploy", *words)
    assert mended.returncode == 0, mended
    # HybridOps' other word for it: the record says what was done.
    assert read(record(seeded, mended) / "meta.json")["command"] == "apply"
    assert seeded.state(LATEST)["status"] == "ok"


def test_a_slot_whose_inputs_cannot_be_kept_ends_with_an_error_and_not_as_running(
    seeded: LabEnvironment, inputs: Path
) -> None:
    kept = rerun_path(seeded.root, StateRef(IMAGE_SEED))
    kept.unlink()
    kept.mkdir()
    failed = run(seeded, "apply", "--inputs", inputs)
    kept.rmdir()
    assert failed.returncode == 1
    assert seeded.state(LATEST)["status"] == "error"
    assert run(seeded, "apply", "--inputs", inputs).returncode == 0


def test_two_applies_of_one_slot_at_once_both_end_well(seeded: LabEnvironment, inputs: Path) -> None:
    run(seeded, "validate", "--inputs", inputs, "--skip-preflight")  # What both are forked from is there after one.
    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(lambda _: run(seeded, "apply", "--inputs", inputs), range(2)))
    assert [one.returncode for one in ended] == [0, 0], ended
    assert seeded.state(LATEST)["status"] == "ok"


def test_a_record_goes_where_it_is_asked_to(seeded: LabEnvironment, inputs: Path, tmp_path: Path) -> None:
    ran = run(seeded, "validate", "--inputs", inputs, "--out-dir", tmp_path / "out", "--skip-preflight")
    directory = record(seeded, ran)
    assert directory.parent == tmp_path / "out/module/core__hetzner__vyos-image-seed"
    assert re.fullmatch(RUN.replace("apply", "validate"), directory.name)


def test_what_a_reference_overrules_is_said(seeded: LabEnvironment, inputs: Path) -> None:
    stale = inputs.with_name("stale.yml")
    stale.write_text(INPUTS + "image_source_url: https://stale.example.com/vyos-1.5-2020.01.raw.xz\n")
    ran = run(seeded, "validate", "--inputs", stale, "--skip-preflight")
    assert "warning: image_source_url is ignored" in ran.stdout


def test_preflight_of_a_module_looks_at_its_site(seeded: LabEnvironment, inputs: Path) -> None:
    ran = run(seeded, "preflight", "--inputs", inputs)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "exit_code=0"), ran
    assert re.search(r"^ok readiness:hetzner/lab the token works; \d+ snapshots of 30$", ran.stdout, re.MULTILINE)
    ran = run(seeded, "preflight", "--inputs", inputs, "--json", module=TEMPLATE_SEED)
    report = json.loads(ran.stdout)
    assert (report["ok"], report["code"], report["target"]) == (True, 0, "")
    assert {"name": "readiness:proxmox/lab", "ok": True} in [
        {"name": one["name"], "ok": one["ok"]} for one in report["module_preflight"]["results"]
    ]
    kept = sorted((seeded.root.path / "logs/preflight").iterdir())[-1]
    assert {path.name for path in kept.iterdir()} == {"output.log", "result.json"}


def test_preflight_of_a_refused_token_is_a_failure_and_of_a_missing_one_too(
    seeded: LabEnvironment, inputs: Path
) -> None:
    wrong = run(seeded, "preflight", "--inputs", inputs, **{HETZNER_TOKEN_ENV: "wrong-token"})
    assert wrong.returncode == 11
    assert "fail readiness:hetzner/lab " in wrong.stdout
    unset = run(seeded, "preflight", "--inputs", inputs, **{HETZNER_TOKEN_ENV: ""})
    assert unset.returncode == 11
    assert "missing credentials:hetzner missing required credentials: " in unset.stdout
