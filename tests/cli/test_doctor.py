from importlib import metadata
from pathlib import Path

import pytest

from hyops_assets.cli import doctor, extras
from hyops_assets.cli.check import Check
from hyops_assets.cli.doctor import (
    configuration,
    examine,
    free_space,
    host_programs,
    python_packages,
    run_doctor,
)
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.image.programs import PACKAGES, MissingProgram
from hyops_assets.settings.pipeline import Settings
from hyops_lab.cli import checks as of_the_lab
from hyops_lab.hetzner.confinement import CellFailed

SITE = """
sites:
  hetzner:
    lab: {token_env: HYOPS_TEST_TOKEN}
"""


def root_with(tmp_path: Path, settings: str) -> RuntimeRoot:
    root = RuntimeRoot(tmp_path)
    root.settings_file.parent.mkdir()
    root.settings_file.write_text(settings)
    return root


@pytest.mark.seconds
def test_a_prepared_host_passes_and_every_program_tells_its_version(tmp_path: Path):
    checks = examine(RuntimeRoot(tmp_path), {})
    assert [check for check in checks if not check.ok] == []
    named = {check.name: check for check in checks}
    assert set(PACKAGES.values()) <= set(named)
    assert named["qemu-utils"].found.startswith("qemu-img ")
    assert named["accelerator"].found.startswith(("kvm: ", "tcg: "))


def test_a_missing_program_comes_with_the_line_that_installs_it():
    (check,) = host_programs({"no-such-program": "some-package"}, lab=False)
    assert check == Check(
        "some-package", "missing", "no-such-program is not installed", "apt-get install some-package"
    )


def test_a_missing_or_wrong_python_package_is_named():
    found = python_packages(["no-such-package>=1", "pydantic==0.1", 'httpx ; python_version > "3"']).found
    assert "no-such-package is missing" in found
    assert f"pydantic is {metadata.version('pydantic')}, not 0.1" in found
    assert "httpx" not in found
    assert python_packages(["pydantic>=2"]).ok


def test_too_little_space_is_said_for_a_root_that_does_not_exist_yet(tmp_path: Path):
    assert free_space(tmp_path / "not" / "yet", 1).ok
    check = free_space(tmp_path / "not" / "yet", 1 << 60)
    assert not check.ok
    assert str(tmp_path) in check.hint


def test_settings_that_do_not_validate_are_reported_with_the_key(tmp_path: Path):
    settings, (check,) = configuration(root_with(tmp_path, "feed: {polls: 3}"), {})
    assert settings is None
    assert not check.ok
    assert "feed.polls" in check.found


def test_a_site_without_its_token_is_reported_and_a_token_is_never_shown(tmp_path: Path):
    root = root_with(tmp_path, SITE)
    missing = configuration(root, {})[1][-1]
    assert (missing.ok, missing.hint) == (False, "export HYOPS_TEST_TOKEN=…")
    present = configuration(root, {"HYOPS_TEST_TOKEN": "s3cret"})
    assert present[1][-1].ok
    assert "s3cret" not in repr(present)


def test_the_table_names_what_is_wrong_once_and_the_exit_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    good, bad = Check("disk", "ok", "roomy"), Check("tool", "missing", "gone", "apt-get install tool")
    monkeypatch.setattr(doctor, "examine", lambda _: [good, bad, bad])
    assert run_doctor(RuntimeRoot(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert printed.count("apt-get install tool") == 1
    assert "roomy" in printed
    monkeypatch.setattr(doctor, "examine", lambda _: [good])
    assert run_doctor(RuntimeRoot(tmp_path)) == 0


def test_what_one_build_method_alone_needs_is_named_and_no_fault(monkeypatch: pytest.MonkeyPatch):
    def missing(programs: list[str]) -> dict[str, str]:
        raise MissingProgram(programs[0])

    monkeypatch.setattr(doctor, "tool_versions", missing)
    (check,) = host_programs({"packer": "packer"}, lab=True)
    assert check == Check("packer", "ok", "packer is not installed; only build.method packer needs it")


@pytest.mark.parametrize(("lab", "status"), [(False, "ok"), (True, "missing")])
def test_what_the_lab_alone_needs_is_no_fault_where_the_settings_are_none_of_a_lab(
    lab: bool, status: str, monkeypatch: pytest.MonkeyPatch
):
    def missing(programs: list[str]) -> dict[str, str]:
        raise MissingProgram(programs[0])

    monkeypatch.setattr(doctor, "tool_versions", missing)
    (check,) = host_programs({"bwrap": "bubblewrap"}, lab=lab)
    assert check.status == status
    assert ("only the lab needs it" in check.found) is not lab


def test_the_settings_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[RuntimeRoot] = []

    def load(root: RuntimeRoot) -> Settings:
        read.append(root)
        return Settings()

    monkeypatch.setattr(doctor, "PACKAGES", {})
    monkeypatch.setattr(doctor, "accelerator_check", lambda: Check("accelerator", "ok"))
    monkeypatch.setattr(doctor, "load_settings", load)
    examine(RuntimeRoot(tmp_path), {})
    assert len(read) == 1


@pytest.mark.parametrize(("lab", "status"), [(False, "ok"), (True, "fail")])
def test_a_host_that_cannot_run_the_lab_is_at_fault_only_where_the_settings_are_a_lab_s(
    lab: bool, status: str, monkeypatch: pytest.MonkeyPatch
):
    def refuse() -> None:
        raise CellFailed("bwrap is not installed", hint="apt-get install bubblewrap")

    monkeypatch.setattr(of_the_lab, "require_confinement", refuse)
    (check,) = extras.checks(lab=lab)
    assert (check.status, "bwrap is not installed" in check.found) == (status, True)
