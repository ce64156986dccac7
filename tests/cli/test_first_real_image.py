"""The page "First real image": its settings are made in an empty home against the lab, its inputs validate.

From step 5 on the page is played as printed, in an environment of the lab: its records are refused where settings are
not a lab's. Weaker than the whole page: the disk is a miniature that was built before, and fetching an ISO, building
and booting it are what `test_document.py` does.
"""

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hyops_assets.cli.init_sites import SiteNotReached
from hyops_assets.cli.main import app
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot
from hyops_lab.cli.lab import SITE
from resources.settings import load_settings
from tests.assets.environment import LabEnvironment
from tests.assets.ground import Ground
from tests.cli.shell import CHECKOUT

PAGE = (CHECKOUT / "docs/first-real-image.md").read_text()


def lines_of(language: str) -> str:
    blocks = re.findall(r"^```([a-z]*)\n(.*?)^```$", PAGE, flags=re.M | re.S)
    return "\n".join(text for named, text in blocks if named == language)


def words_of(command: str) -> list[str]:
    """The words of the page's first line of a command; `&&` ends it."""
    line = next(one for one in lines_of("").splitlines() if one.startswith(f"hyops {command}"))
    return shlex.split(line.partition("&&")[0])[1:]


@pytest.fixture
def at_the_lab(seeded: LabEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty home with the token of step 2; the flags that stand for the reader's node.

    The lab's Hetzner endpoint is not https, which only a lab's settings take: without a token it is not looked at.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    proxmox = seeded.settings.proxmox_site(SITE)
    monkeypatch.setenv("PROXMOX_TOKEN", os.environ[proxmox.token_env])
    monkeypatch.delenv("HCLOUD_TOKEN", raising=False)
    return [
        *("--proxmox", f"{proxmox.host}:{proxmox.port}", "--node", proxmox.node, "--token-id", proxmox.token_id),
        *("--ca-file", str(proxmox.ca_file)),
    ]


def test_init_looks_at_the_node_and_writes_settings_that_preflight_agrees_with(
    at_the_lab: list[str], tmp_path: Path
) -> None:
    ran = CliRunner().invoke(app, [*words_of("init"), *at_the_lab])
    assert (ran.exit_code, ran.exception) == (0, None), ran.output
    assert "ok readiness:proxmox/main Proxmox VE" in ran.output
    assert "missing readiness:hetzner/main not looked at: export its token as HCLOUD_TOKEN" in ran.output
    settings = load_settings(RuntimeRoot(tmp_path / ".hybridops/envs/prod"))
    assert (set(settings.sites.proxmox), set(settings.sites.hetzner)) == ({"main"}, {"main"})
    looked = CliRunner().invoke(app, ["preflight", "--env", "prod", "--target", "proxmox"])
    assert "ok readiness:proxmox/main" in looked.output
    assert looked.output.rstrip().endswith("exit_code=0")


def test_a_site_that_does_not_answer_is_named_and_nothing_is_written(
    at_the_lab: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXMOX_TOKEN", "wrong")
    ran = CliRunner().invoke(app, [*words_of("init"), *at_the_lab])
    assert isinstance(ran.exception, SiteNotReached)
    assert "fail readiness:proxmox/main" in ran.output
    assert "readiness:hetzner/main" not in ran.exception.message
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_no_site_takes_is_refused_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ran = CliRunner().invoke(app, ["init", "--env", "prod", "--proxmox", "https://pve1.example.com:8006"])
    assert isinstance(ran.exception, Refused)
    assert "sites.proxmox.main.host" in ran.exception.message
    assert list(tmp_path.iterdir()) == []


def test_without_a_token_the_settings_are_written_and_the_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PROXMOX_TOKEN", "HCLOUD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    ran = CliRunner().invoke(app, words_of("init"))
    assert (ran.exit_code, ran.exception) == (0, None)
    assert "missing readiness:hetzner/main not looked at: export its token as HCLOUD_TOKEN" in ran.output
    assert load_settings(RuntimeRoot(tmp_path / ".hybridops/envs/prod")).sites.proxmox["main"].node == "pve1"


def test_the_page_s_inputs_validate_in_an_empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    inputs = tmp_path / "build.yml"
    inputs.write_text(lines_of("yaml"))
    assert yaml.safe_load(inputs.read_text())
    module = words_of("apply")[words_of("apply").index("--module") + 1]
    asked = ["validate", "--env", "prod", "--skip-preflight", "--module", module, "--inputs", str(inputs)]
    ran = CliRunner().invoke(app, asked)
    assert (ran.exit_code, ran.exception) == (0, None), ran.output


def played(command: str) -> str:
    """Run the page's line of a command as printed, and return what it printed."""
    ran = CliRunner().invoke(app, words_of(command))
    assert (ran.exit_code, ran.exception) == (0, None), ran.output
    return ran.output


@pytest.mark.slow
def test_from_the_release_on_the_page_s_commands_lead_to_both_sites(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps 5 to 8 in an empty home whose environment is a lab's: its disk was built and had passed its gates."""
    with ground.environment("built", tmp_path / "lab_environment") as lab_environment:
        environments = tmp_path / "home/.hybridops/envs"
        environments.mkdir(parents=True)
        (environments / "prod").symlink_to(lab_environment.root.path)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)
        Path("build.yml").write_text(lines_of("yaml"))
        planned = played("plan")
        for line in ("adopt    iso", "adopt    record", "publish  record.json", "at proxmox/lab", "at hetzner/lab"):
            assert line in planned, planned
        assert "status=ok" in played("apply")
        assert len(re.findall(r" created ", played("seed"))) == 2
        assert "template_vm_id" in played("show module core/onprem")
        assert "image_ref" in played("show module core/hetzner")
        played("drift")
