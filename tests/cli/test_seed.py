"""`hyops seed`: many sites at once from one process, against as many projects as there are sites."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.fleet_lab import FleetLab, fleet_lab
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.main import app
from hyops_assets.contract.references import BUILD_STATE
from hyops_lab.faults import Delay, Rule
from resources.settings import load_settings, save_settings
from resources.states.store import StateStore
from tests.cli.shell import hyops_in_a_terminal
from tests.hetzner_scene import wait_until

pytestmark = pytest.mark.seconds


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetLab]:
    with fleet_lab(tmp_path, sites=3, versions=1, disk_bytes=16 << 20, delays={}) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        yield lab


def seed(lab: FleetLab, *words: str) -> tuple[int, str]:
    before = dict(os.environ)
    ran = CliRunner().invoke(app, ["seed", "--root", str(lab.root.path), *words])
    os.environ.update(before)
    return ran.exit_code, ran.output


def test_one_sites_failure_stops_no_other_and_the_next_command_seeds_what_is_missing(
    lab: FleetLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = lab.environment["TOKEN_SITE_01"]
    monkeypatch.setenv("TOKEN_SITE_01", "wrong")
    status, said = seed(lab, "--cloud", "hetzner")
    assert status == 1
    assert lab.snapshots() == 2
    assert re.search(r"hetzner/site-01: .* failed ", said)
    assert len(re.findall(r"^hetzner/site-0[02]: snapshot \d+ .* created ", said, flags=re.M)) == 2
    status, missing = seed(lab, "--missing")
    assert status == 1
    assert re.search(r"site-01 .* failed ", missing)
    monkeypatch.setenv("TOKEN_SITE_01", token)
    status, said = seed(lab)
    assert (status, lab.snapshots(), lab.servers()) == (0, 3, 0)
    assert len(re.findall(r" adopted ", said)) == 2
    assert len(re.findall(r" created ", said)) == 1
    with open_instance(lab.root) as instance:
        runs = instance.get_runs()
    assert sorted(run.status.value for run in runs) == ["FAILURE"] + ["SUCCESS"] * 5
    assert seed(lab, "--missing") == (0, f"every site holds {lab.versions[0]}\n")
    assert seed(lab, "--missing", "--cloud", "hetzner")[0] != 0


def test_a_canary_that_fails_holds_the_rest_back(lab: FleetLab, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(lab.root)
    first = settings.sites.hetzner["site-00"].model_copy(update={"canary": True})
    sites = settings.sites.model_copy(update={"hetzner": settings.sites.hetzner | {"site-00": first}})
    save_settings(lab.root, settings.model_copy(update={"sites": sites}), heading="test")
    monkeypatch.setenv("TOKEN_SITE_00", "wrong")
    status, said = seed(lab)
    assert (status, lab.snapshots()) == (1, 0)
    assert len(re.findall(r"held back: canary site-00 failed", said)) == 2
    # A person may name the sites all the same.
    assert seed(lab, "--site", "site-02")[0] == 0
    assert lab.snapshots() == 1


def test_without_dagsters_history_an_environment_goes_on_from_its_states_canaries_first(lab: FleetLab) -> None:
    settings = load_settings(lab.root)
    first = settings.sites.hetzner["site-00"].model_copy(update={"canary": True})
    sites = settings.sites.model_copy(update={"hetzner": settings.sites.hetzner | {"site-00": first}})
    save_settings(lab.root, settings.model_copy(update={"sites": sites}), heading="test")
    assert seed(lab, "--site", "site-00")[0] == 0
    shutil.rmtree(lab.root.dagster_home)
    status, said = seed(lab)
    assert (status, lab.snapshots(), lab.servers()) == (0, 3, 0), said
    assert len(re.findall(r"site-00: snapshot \d+ .* adopted ", said)) == 1
    assert len(re.findall(r" created ", said)) == 2


def test_a_record_of_another_digest_than_its_state_says_is_not_vouched_for(lab: FleetLab) -> None:
    shutil.rmtree(lab.root.dagster_home)
    states = StateStore(lab.root)
    state = states.find(BUILD_STATE)
    assert state is not None
    states.commit(BUILD_STATE, run_id="test", outputs={**state.outputs, "record_digest": "0" * 64})
    ran = CliRunner().invoke(app, ["seed", "--root", str(lab.root.path)])
    assert f"no contract of {lab.versions[0]} was published here" in str(ran.exception)
    assert lab.snapshots() == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--site", "nowhere"), "no site nowhere is configured (configured: hetzner/site-00, "),
        (("--version", "2020.01.01-0027-rolling"), "no contract of 2020.01.01-0027-rolling was published here"),
        (("--cloud", "aws"), "--cloud is no 'aws'"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_seed(lab: FleetLab, words: tuple[str, ...], why: str) -> None:
    ran = CliRunner().invoke(app, ["seed", "--root", str(lab.root.path), *words])
    assert why in str(ran.exception)
    assert lab.snapshots() == 0


def started(lab: FleetLab, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return hyops_in_a_terminal(lab.environment, "seed", "--root", lab.root.path, *words)


def files(lab: FleetLab) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in lab.root.states.rglob("*.json")}


@pytest.mark.slow
@pytest.mark.parametrize(
    # That the first Ctrl-C is heard: the test below.
    "sign",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)],
)
def test_a_seed_of_many_sites_that_is_ended_by_hand_ends_those_at_work_and_starts_no_other(
    lab: FleetLab, sign: signal.Signals
) -> None:
    for site in lab.sites[:2]:
        lab.projects[site].faults.add(Rule("POST", "/servers/[0-9]+/actions/poweron", Delay(3)))
    with started(lab, "--at-once", "2") as process:
        wait_until(lambda: lab.servers() == 2, within=120)
        os.killpg(process.pid, sign)
        said, wrong = process.communicate(timeout=120)
    assert (process.returncode, wrong) == (130, "cancelled\n")
    assert "stopping: the seeds at work end first" in said
    assert len(re.findall(r" created ", said)) == 2
    assert (lab.snapshots(), lab.servers()) == (2, 0)
    status, said = seed(lab)
    assert (status, lab.snapshots(), lab.servers()) == (0, 3, 0)
    assert len(re.findall(r" adopted ", said)) == 2


@pytest.mark.slow
def test_a_second_ctrl_c_cuts_off_at_once_and_the_next_command_resumes(lab: FleetLab) -> None:
    before = files(lab)
    for site in lab.sites:
        lab.projects[site].faults.add(Rule("POST", "/servers/[0-9]+/actions/poweron", Delay(30)))
    with started(lab) as process:
        wait_until(lambda: lab.servers() == 3, within=120)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("stopping: ")
        os.killpg(process.pid, signal.SIGINT)
        _, wrong = process.communicate(timeout=10)
    assert (process.returncode, wrong) == (-signal.SIGINT, "")
    assert files(lab) == before
    for site in lab.sites:
        # The call that was to be held up may not have been made yet: then the next seed's would be.
        lab.projects[site].faults.rules.clear()
    status, said = seed(lab)
    assert (status, lab.snapshots(), lab.servers()) == (0, 3, 0), said
    with open_instance(lab.root) as instance:
        runs = instance.get_runs()
    assert sorted(run.status.value for run in runs) == ["FAILURE"] * 3 + ["SUCCESS"] * 3
