"""`hyops acceptance` ended in its midst: by hand, it removes what it made; what a killed one left goes later."""

import os
import re
import signal
import subprocess
from contextlib import AbstractContextManager

import pytest

from hyops_lab.faults import Delay, Rule
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli.shell import hyops_in_a_terminal
from tests.cli.test_acceptance import CAP, CONSENT, Ended, acceptance, changing, command, held, published, slots, state
from tests.hetzner_scene import wait_until

__all__ = ["published"]

pytestmark = pytest.mark.slow

IMAGE = "core__hetzner__vyos-image-seed"
TEMPLATE = "core__onprem__vyos-template-seed"
HETZNER = ("--proxmox-site", "-")
PROXMOX = ("--hetzner-site", "-")
HELD_UP = 20.0
CONFIGURATION = "/nodes/[^/]+/qemu/[0-9]+/config"
COMMIT = frozenset({2})
"""Of the changes of a machine's configuration: the first sets its tags."""


def started(home: LabEnvironment, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return hyops_in_a_terminal({**os.environ, **CONSENT}, "acceptance", "--root", home.root.path, *CAP, *words)


def ended(home: LabEnvironment, cloud: str, rule: Rule, sign: signal.Signals) -> Ended:
    """Run one at a cloud, and send a signal to its group while a call of its is held up after its commit."""
    system = home.lab.hetzner if cloud == "hetzner" else home.lab.proxmox
    system.faults.add(rule)
    try:
        with started(home, *(HETZNER if cloud == "hetzner" else PROXMOX)) as process:
            wait_until(lambda: system.faults.matched[rule] >= max(rule.nth) or process.poll() is not None, within=180)
            assert process.poll() is None, process.communicate()
            os.killpg(process.pid, sign)
            said, wrong = process.communicate(timeout=180)
    finally:
        system.faults.rules.remove(rule)
    return Ended(process.returncode, said, wrong)


def documents(home: LabEnvironment) -> list[str]:
    """What is expected to stand at a site."""
    return [
        path.name for kind in ("hetzner_image", "proxmox_template") for path in home.root.artifacts.rglob(f"{kind}/*")
    ]


@pytest.mark.parametrize(
    ("cloud", "rule", "sign"),
    [
        ("hetzner", Rule("POST", "/servers/[0-9]+/actions/poweron", Delay(3)), signal.SIGINT),
        pytest.param("hetzner", Rule("PUT", "/images/[0-9]+", Delay(3)), signal.SIGTERM, marks=pytest.mark.long),
        ("proxmox", Rule("POST", "/nodes/[^/]+/qemu", Delay(3)), signal.SIGTERM),
        pytest.param("proxmox", Rule("PUT", CONFIGURATION, Delay(3), COMMIT), signal.SIGINT, marks=pytest.mark.long),
    ],
    ids=["the-server-boots", "the-image-is-ready", "a-machine-is-made", "the-template-is-ready"],
)
def test_one_that_is_ended_by_hand_removes_what_it_made(
    published: LabEnvironment, cloud: str, rule: Rule, sign: signal.Signals
) -> None:
    stands, before, count = held(published), slots(published), len(changing(published))
    ran = ended(published, cloud, rule, sign)
    assert (ran.returncode, ran.stderr) == (130, "cancelled\n"), ran
    assert "removing what this run made" in ran.stdout
    assert len(changing(published)) > count
    assert (held(published), slots(published), documents(published)) == (stands, before, [])
    assert state(published, IMAGE if cloud == "hetzner" else TEMPLATE)["status"] == "destroyed"


@pytest.mark.parametrize(
    ("cloud", "rule", "what"),
    [
        ("hetzner", Rule("POST", "/servers/[0-9]+/actions/poweron", Delay(HELD_UP)), "server "),
        # A snapshot that is ready is removed by the next acceptance run, below.
        pytest.param(
            "hetzner",
            Rule("DELETE", "/servers/[0-9]+", Delay(HELD_UP)),
            f"snapshot hyops-vyos-1.5-{RELEASE} (",
            marks=pytest.mark.long,
        ),
        ("proxmox", Rule("PUT", CONFIGURATION, Delay(HELD_UP), COMMIT), "template "),
    ],
    ids=["the-server-boots", "the-image-is-ready", "the-template-is-ready"],
)
def test_what_a_killed_one_left_is_named_exactly_and_removed_by_the_cleanup(
    published: LabEnvironment, cloud: str, rule: Rule, what: str
) -> None:
    stands, before = held(published), slots(published)
    assert ended(published, cloud, rule, signal.SIGKILL).returncode == -signal.SIGKILL
    assert held(published) != stands
    dry = acceptance(published, "--dry-run", consent={})
    assert (dry.returncode, what in dry.stderr, "hyops cleanup" in dry.stderr) == (1, True, True), dry
    count = len(changing(published))
    plan = command(published, "cleanup")
    assert ("remove" in plan.stdout, len(changing(published))) == (True, count), plan
    done = command(published, "cleanup", "--apply")
    assert done.returncode == 0, done
    assert (held(published), slots(published), documents(published)) == (stands, before, [])
    assert state(published, IMAGE if cloud == "hetzner" else TEMPLATE)["status"] == "destroyed"


def test_the_next_one_removes_what_a_killed_one_left_and_then_holds(published: LabEnvironment) -> None:
    stands = held(published)
    ended(published, "hetzner", Rule("DELETE", "/servers/[0-9]+", Delay(HELD_UP)), signal.SIGKILL)
    ran = acceptance(published, *CAP, *HETZNER)
    assert ran.returncode == 0, ran
    first, _, _ = ran.stdout.partition("removing what this run made")
    assert re.search(rf"  lab: snapshot hyops-vyos-1.5-{RELEASE} \(\d+\): removed: ", first), ran
    assert (held(published), documents(published)) == (stands, [])


def test_what_a_live_one_makes_is_nobodys_to_remove(published: LabEnvironment) -> None:
    rule = Rule("DELETE", "/servers/[0-9]+", Delay(HELD_UP))
    published.lab.hetzner.faults.add(rule)
    with started(published, *HETZNER) as process:
        wait_until(lambda: published.lab.hetzner.faults.matched[rule] > 0 or process.poll() is not None, within=180)
        assert process.poll() is None, process.communicate()
        stands = held(published)
        cleanup, second = command(published, "cleanup", "--apply"), acceptance(published, *CAP)
        assert "an acceptance run is at work" in cleanup.stdout.replace("\n", " "), cleanup
        assert (second.returncode, "an acceptance run is at work" in second.stderr) == (1, True), second
        assert held(published)[1] == stands[1]
        assert process.poll() is None
    published.lab.hetzner.faults.rules.remove(rule)
    assert command(published, "cleanup", "--apply").returncode == 0
    assert held(published)[1:] == (0, 0, 0)
