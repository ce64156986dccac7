"""`hyops acceptance` as a user runs it, against a lab: nothing is made without consent, and nothing made is left."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyops_assets.cli.acceptance.removal import TriedSite, who_needs
from hyops_assets.cli.main import app
from hyops_assets.contract.references import IMAGE_SEED, StateRef
from hyops_assets.settings.sites import Sites
from hyops_lab.cli.lab import SITE
from hyops_lab.faults import Answer, Rule
from hyops_lab.trace import Request
from resources.sites.hetzner.trial import hetzner_trial
from resources.states.store import StateStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.assets.ground import Ground
from tests.clouds import HETZNER

CONSENT = {"HYOPS_ACCEPTANCE": "yes"}
CAP = ("--max-eur", "5")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, ground: Ground) -> Iterator[LabEnvironment]:
    """An environment whose record was built and published, and is held by no site. Its tests share it."""
    with ground.environment("published", tmp_path_factory.mktemp("published")) as copy:
        yield copy


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


def command(home: LabEnvironment, *words: str, consent: Mapping[str, str] = CONSENT) -> Ended:
    """Run `hyops` in this process: a fresh one loads Dagster for seconds."""
    before = dict(os.environ)
    os.environ.update(consent)
    try:
        ran = CliRunner().invoke(app, [*words, "--root", str(home.root.path)])
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Ended(ran.exit_code, ran.stdout, f"{ran.stderr}{ran.exception or ''}")


def acceptance(home: LabEnvironment, *words: str, consent: Mapping[str, str] = CONSENT) -> Ended:
    return command(home, "acceptance", *words, consent=consent)


def changing(home: LabEnvironment, since: int = 0) -> list[Request]:
    """The changing calls that both clouds answered."""
    requests = home.lab.files.trace().requests()[since:]
    return [one for one in requests if one.mutating and one.system in ("proxmox", "hetzner")]


def held(home: LabEnvironment) -> tuple[list[int], int, int, int]:
    """What stands at both sites: machines, snapshots, servers, keys."""
    contents = home.lab.hetzner.project.contents
    snapshots = [image for image in contents.images.values() if image.kind == "snapshot"]
    machines = sorted(home.lab.proxmox.inventory.machines)
    return machines, len(snapshots), len(contents.servers), len(contents.keys)


def slots(home: LabEnvironment) -> dict[str, bytes]:
    """Every state file but those of acceptance runs."""
    found = home.root.states.rglob("*.json")
    return {str(path): path.read_bytes() for path in found if path.name != "acceptance.json" and path.name[0] != "."}


def state(home: LabEnvironment, module: str) -> dict[str, Any]:
    return home.state(f"{module}/instances/acceptance.json")


def shape(method: str, path: str) -> tuple[str, str]:
    """A call without its ids, whether a dry run printed it or a stand-in was asked."""
    below = re.sub(r"^/(api2/json|v1)", "", path)
    return method, re.sub(r"/(\d+|\{[a-z]+\})(?=/|$)", "/#", below)


def printed(said: str) -> list[tuple[str, str]]:
    rows = re.findall(r"│ (POST|PUT|DELETE) +│ (\S+)", said)
    return [shape(method, path) for method, path in rows]


@pytest.mark.parametrize(
    ("words", "consent", "why"),
    [
        (CAP, {}, "HYOPS_ACCEPTANCE=yes"),
        (CAP, {"HYOPS_ACCEPTANCE": "1"}, "HYOPS_ACCEPTANCE=yes"),
        ((), CONSENT, "--max-eur"),
        (("--max-eur", "0.001"), CONSENT, "the cap is 0.0010 EUR"),
        ((*CAP, "--proxmox-site", "-", "--hetzner-site", "-"), CONSENT, "no site is left"),
        ((*CAP, "--hetzner-site", "nowhere"), CONSENT, "no hetzner site 'nowhere'"),
        ((*CAP, "--iso", "disk.iso"), CONSENT, "names no VyOS release"),
    ],
)
def test_what_is_not_agreed_to_is_refused_and_nothing_is_made(
    published: LabEnvironment, words: tuple[str, ...], consent: dict[str, str], why: str
) -> None:
    before = len(changing(published)), slots(published)
    ran = acceptance(published, *words, consent=consent)
    assert (ran.returncode, why in ran.stderr) == (1, True), ran
    assert (len(changing(published)), slots(published)) == before


def test_a_dry_run_changes_nothing_and_lists_the_calls_of_the_run_that_then_leaves_nothing(
    published: LabEnvironment,
) -> None:
    before, stands, count = slots(published), held(published), len(published.lab.files.trace().requests())
    dry = acceptance(published, "--dry-run", consent={})
    assert dry.returncode == 0, dry
    assert changing(published, count) == []
    assert "at most" in dry.stdout

    ran = acceptance(published, *CAP)
    assert ran.returncode == 0, ran
    asked = [key for key, _ in groupby(shape(one.method, one.path) for one in changing(published, count))]
    assert printed(dry.stdout) == asked
    assert len(asked) >= 14
    assert held(published) == stands
    assert slots(published) == before
    for module in ("core__hetzner__vyos-image-seed", "core__onprem__vyos-template-seed"):
        assert (state(published, module)["status"], state(published, module)["outputs"]) == ("destroyed", {})
    store = published.root.artifacts
    assert [*store.rglob(f"hetzner_image/*{RELEASE}*"), *store.rglob(f"proxmox_template/*{RELEASE}*")] == []
    (result,) = [
        json.loads(path.read_text()) for path in (published.root.path / "logs").rglob("acceptance*/result.json")
    ]
    assert [site["held"] for site in result["sites"]] == [True, True]
    assert all(site["removed"] for site in result["sites"])
    assert {site["cloud"]: site["at_most"] is None for site in result["sites"]} == {"hetzner": False, "proxmox": True}
    token = os.environ[published.settings.hetzner_site(SITE).token_env]
    assert token not in ran.stdout + ran.stderr + json.dumps(result)


@pytest.mark.slow
def test_the_calls_for_a_record_that_this_host_sends_itself_are_listed_too(tmp_path: Path, ground: Ground) -> None:
    with ground.environment("built", tmp_path) as private:
        private.configure(repository=private.settings.repository.model_copy(update={"public_base_url": None}))
        private.graph().build(RELEASE)
        count = len(private.lab.files.trace().requests())
        dry = acceptance(private, "--dry-run", consent={})
        ran = acceptance(private, *CAP)
        asked = [key for key, _ in groupby(shape(one.method, one.path) for one in changing(private, count))]
    assert (dry.returncode, ran.returncode) == (0, 0), (dry, ran)
    assert printed(dry.stdout) == asked
    assert any(path.endswith("/upload") for _, path in asked)


def test_a_dry_run_with_an_iso_says_that_its_build_asks_no_site(published: LabEnvironment) -> None:
    count = len(changing(published))
    iso = "/nowhere/vyos-2026.03.09-0027-rolling-generic-amd64.iso"
    dry = acceptance(published, "--dry-run", "--iso", iso, consent={})
    assert (dry.returncode, "no site is asked" in dry.stdout) == (0, True), dry
    assert len(changing(published)) == count


def test_what_is_removed_again_does_not_count_as_seeded(published: LabEnvironment) -> None:
    assert acceptance(published, *CAP, "--proxmox-site", "-").returncode == 0
    missing = command(published, "seed", "--missing")
    assert re.search(rf"hetzner .*{SITE} .*{RELEASE}", missing.stdout), missing


@pytest.mark.parametrize(
    ("words", "rule", "system"),
    [
        (
            ("--proxmox-site", "-"),
            Rule("PUT", "/images/[0-9]+", Answer(422, "invalid_input"), nth=frozenset()),
            "hetzner",
        ),
        (("--hetzner-site", "-"), Rule("PUT", "/nodes/.*/config", Answer(500, "no"), nth=frozenset()), "proxmox"),
    ],
)
def test_a_seed_that_fails_leaves_nothing_and_ends_with_1(
    published: LabEnvironment, words: tuple[str, ...], rule: Rule, system: str
) -> None:
    stands, before = held(published), slots(published)
    faults = getattr(published.lab, system).faults
    faults.add(rule)
    try:
        ran = acceptance(published, *CAP, *words)
    finally:
        faults.rules.remove(rule)
    assert ran.returncode == 1, ran
    assert faults.matched[rule] > 0
    assert "removed" in ran.stdout
    assert (held(published), slots(published)) == (stands, before)


def test_what_cannot_be_removed_is_named_stops_the_next_run_and_goes_with_the_cleanup(
    published: LabEnvironment,
) -> None:
    stands = held(published)
    rule = Rule("DELETE", "/images/[0-9]+", Answer(422, "invalid_input"), nth=frozenset())
    published.lab.hetzner.faults.add(rule)
    ran = acceptance(published, *CAP, "--proxmox-site", "-")
    published.lab.hetzner.faults.rules.remove(rule)
    contents = published.lab.hetzner.project.contents
    (left,) = [image for image in contents.images.values() if image.kind == "snapshot"]
    assert (ran.returncode, f"({left.id}) is left" in ran.stdout) == (1, True), ran
    assert str(state(published, "core__hetzner__vyos-image-seed")["outputs"]["image_ref"]) == str(left.id)
    before = len(changing(published))
    published.lab.hetzner.faults.add(rule)
    again = acceptance(published, *CAP)
    published.lab.hetzner.faults.rules.remove(rule)
    assert (again.returncode, f"({left.id}) at {SITE} stays" in again.stderr) == (1, True), again
    assert {one.method for one in changing(published)[before:]} == {"DELETE"}
    assert command(published, "cleanup", "--apply").returncode == 0
    assert (held(published), state(published, "core__hetzner__vyos-image-seed")["status"]) == (stands, "destroyed")
    assert list(published.root.artifacts.rglob("hetzner_image/*")) == []


def test_a_site_that_is_called_as_the_slot_is_refused(published: LabEnvironment) -> None:
    site = published.settings.hetzner_site(SITE)
    published.configure(sites=Sites(hetzner={"acceptance": site}))
    ran = acceptance(published, *CAP)
    published.configure()
    assert (ran.returncode, "rename the site" in ran.stderr) == (1, True), ran


def test_what_the_environment_came_to_need_meanwhile_is_known(published: LabEnvironment) -> None:
    site = published.settings.hetzner_site(SITE)
    other = site.model_copy(update={"token_env": "OTHER_TOKEN", "default": False})
    two = published.settings.model_copy(update={"sites": Sites(hetzner={SITE: site, "other": other})})
    tried = TriedSite(HETZNER, SITE, hetzner_trial(published.settings, SITE))
    states = StateStore(published.root)

    def needed(ref: str) -> str | None:
        return who_needs(published.instance, states, two, tried, RELEASE, 0.0, ref)

    for instance, ref in ((None, "77"), ("acceptance", "78"), ("other", "79")):
        states.commit(StateRef(IMAGE_SEED, instance), run_id="x", outputs={"image_ref": ref, "lab": True})
    said = [needed(ref) for ref in ("77", "78", "79", "80")]
    for instance in (None, "acceptance", "other"):
        states.path(StateRef(IMAGE_SEED, instance)).unlink()
    assert said == [f"{StateRef(IMAGE_SEED)} names it", None, None, None]
