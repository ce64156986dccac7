"""`hyops preflight` of a host: lines, JSON, exit statuses."""

import json
import re
import tempfile
from pathlib import Path

import pytest
import typer

from hyops_assets.cli import preflight
from hyops_assets.cli.check import Check
from hyops_assets.cli.environment import Place
from hyops_assets.cli.preflight import Looked, exit_status, run_preflight
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED
from tests.cli.shell import environment, hyops

SITE = "sites: {hetzner: {main: {token_env: NO_SUCH_TOKEN}}}\n"


def configured(home: Path, content: str) -> RuntimeRoot:
    root = RuntimeRoot(home / ".hybridops/envs/dev")
    root.settings_file.parent.mkdir(parents=True)
    root.settings_file.write_text(content)
    return root


def test_a_prepared_host_is_ready_and_looking_makes_nothing(tmp_path: Path) -> None:
    ran = hyops(environment(tmp_path), "preflight", "--env", "dev", "--strict")
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    *lines, last = ran.stdout.splitlines()
    assert last == "exit_code=0"
    assert all(re.match(r"(ok|missing|fail) \S+ \S", line) for line in lines)
    names = [line.split()[1] for line in lines]
    assert {
        "cmd:qemu-img",
        "accelerator",
        "runtime:root",
        "runtime:meta",
        "runtime:writable",
        "config:pipeline.yml",
    } <= set(names)
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_environment_is_not_ready_and_those_that_are_there_are_listed(tmp_path: Path) -> None:
    configured(tmp_path, SITE)
    ran = hyops(environment(tmp_path), "preflight", "--env", "dve")
    assert ran.returncode == 11
    assert "fail config:pipeline.yml there is no environment dve (there are: dev)" in ran.stdout


def test_json_says_the_same(tmp_path: Path) -> None:
    ran = hyops(environment(tmp_path), "preflight", "--env", "dev", "--json")
    report = json.loads(ran.stdout)
    assert set(report) == {"ok", "code", "target", "runtime_root", "results", "module_preflight"}
    assert (report["ok"], report["code"], report["module_preflight"]) == (True, 0, {})
    assert all(set(result) == {"name", "ok", "detail"} for result in report["results"])


def test_a_site_whose_token_is_unset_is_not_ready(tmp_path: Path) -> None:
    root = configured(tmp_path, SITE)
    ran = hyops(environment(tmp_path), "preflight", "--env", "dev", "--target", "hetzner")
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (11, "exit_code=11")
    assert "fail readiness:hetzner/main the environment variable NO_SUCH_TOKEN is unset" in ran.stdout
    (kept,) = (root.path / "logs/preflight").iterdir()
    assert re.fullmatch(r"preflight-\d{8}T\d{6}Z-[0-9a-f]{8}", kept.name)
    assert (kept / "output.log").read_text() == ran.stdout
    assert json.loads((kept / "result.json").read_text())["code"] == 11


def test_a_target_without_a_site_is_not_ready(tmp_path: Path) -> None:
    ran = hyops(environment(tmp_path), "preflight", "--env", "dev", "--target", "proxmox")
    assert ran.returncode == 11
    assert "no proxmox site is configured; add one under sites.proxmox.<name>" in ran.stdout


def test_settings_that_do_not_validate_are_a_failure(tmp_path: Path) -> None:
    configured(tmp_path, "feed: {poll_seconds: 1}\n")
    ran = hyops(environment(tmp_path), "preflight", "--env", "dev")
    assert ran.returncode == 11
    assert re.search(r"^fail config:pipeline.yml .*feed\.poll_seconds", ran.stdout, re.MULTILINE)


def test_inputs_that_do_not_validate_are_a_failure_of_the_module(tmp_path: Path) -> None:
    ran = hyops(environment(tmp_path), "preflight", "--env", "dev", "--module", IMAGE_SEED)
    assert ran.returncode == 11
    assert f"fail module:{IMAGE_SEED} " in ran.stdout


def test_a_record_key_that_is_not_the_environment_s_is_a_failure_of_the_module(tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.yml"
    inputs.write_text("record_version: 2026.03.03-0027-rolling\nrecord_key: another-key\n")
    asked = ("preflight", "--env", "dev", "--module", IMAGE_BUILD, "--inputs", inputs)
    ran = hyops(environment(tmp_path), *asked)
    assert (ran.returncode, ran.stderr, ran.stdout.splitlines()[-1]) == (11, "", "exit_code=11")
    assert f"fail module:{IMAGE_BUILD} record_key 'another-key' is not this environment's key" in ran.stdout


def test_a_fault_of_preflight_is_reported_as_any_command_s_and_ends_with_30(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(root: RuntimeRoot) -> list[Check]:
        raise KeyError(root)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(preflight, "runtime_checks", broken)
    with pytest.raises(typer.Exit) as ended:
        run_preflight(Place(RuntimeRoot(tmp_path), ""), None, target="", strict=False, as_json=False)
    assert ended.value.exit_code == 30
    printed = capsys.readouterr().err
    assert "error: a fault of hyops itself: KeyError" in printed
    assert "Traceback" not in printed
    (kept,) = tmp_path.glob("hyops-fault-*.txt")
    assert "Traceback" in kept.read_text()


def test_a_root_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = hyops(environment(tmp_path), "preflight", "--root", tmp_path / "file" / "root")
    assert ran.returncode == 11
    assert "fail runtime:writable" in ran.stdout


def test_what_is_missing_counts_only_under_strict() -> None:
    looked = Looked([Check("cmd:x", "missing")], "", [])
    assert (exit_status(looked, strict=False), exit_status(looked, strict=True)) == (0, 12)
    wrong = Looked([Check("cmd:x", "missing"), Check("y", "fail")], "", [])
    assert exit_status(wrong, strict=True) == 11
