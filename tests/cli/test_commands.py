"""`hyops` as a user runs it: a process, an environment of its own, exit statuses and what is printed."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, StateRef
from hyops_assets.contract.state import record_outputs
from hyops_lab.ensemble import HETZNER_TOKEN_ENV, PROXMOX_TOKEN_ENV
from resources.states.store import StateStore
from tests import processes
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli import shell
from tests.cli.shell import CHECKOUT, HYOPS, environment
from tests.contract.samples import contract
from tests.ui.served import wait_until

EXAMPLE = "modules/core/shared/vyos-image-build/examples/inputs.gcs-state.yml"
SEED_EXAMPLE = "modules/core/hetzner/vyos-image-seed/examples/inputs.state.yml"
HEAVY = {"dagster", "aiohttp", "asyncssh", "hcloud", "proxmoxer", "google", "cryptography"}


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """An empty home directory."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


def hyops(user: Path, *words: str | Path, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return shell.hyops(environment(user), *words, flags=flags)


def refused(ran: subprocess.CompletedProcess[str], *, before: str = "error: ", status: int = 1) -> str:
    """The one-line error of a command that was refused as it should be; `ERR: ` stands before those of no run."""
    lines = ran.stderr.rstrip("\n").splitlines()
    assert ran.returncode == status, ran
    assert len(lines) == 2, ran.stderr
    assert lines[0].startswith(before), ran.stderr
    assert lines[1].startswith("  next: ")
    return lines[0].removeprefix(before)


def not_started(ran: subprocess.CompletedProcess[str]) -> str:
    """The error of a module's run that did not start: nothing was printed but it."""
    assert ran.stdout == "", ran
    return refused(ran, before="ERR: ")


def environment_of(user: Path) -> Path:
    """The runtime root of the environment dev, there and with nothing in it."""
    root = user / ".hybridops/envs/dev"
    root.mkdir(parents=True, exist_ok=True)
    return root


def empty(user: Path) -> bool:
    return list(user.iterdir()) == []


def imported(ran: subprocess.CompletedProcess[str]) -> set[str]:
    """The top-level packages that a command imported (`-X importtime`)."""
    lines = (line for line in ran.stderr.splitlines() if line.startswith("import time:"))
    return {line.rsplit("|", 1)[1].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("words", [("--help",), ("lab", "--help"), ("apply", "--help"), ()], ids=" ".join)
def test_help_loads_nothing_heavy(user: Path, words: tuple[str, ...]) -> None:
    ran = hyops(user, *words, flags=("-X", "importtime"))
    assert "Usage:" in ran.stdout
    assert imported(ran) & (HEAVY | {"pydantic", "yaml"}) == set()


@pytest.mark.seconds
def test_validate_and_show_load_no_dagster(user: Path) -> None:
    validated = hyops(
        user, "validate", "--env", "dev", "--module", IMAGE_BUILD, "--inputs", EXAMPLE, flags=("-X", "importtime")
    )
    shown = hyops(user, "show", IMAGE_BUILD, flags=("-X", "importtime"))
    assert (imported(validated) | imported(shown)) & HEAVY == set()


def test_the_documents_validate_says_what_is_not_there_yet_and_writes_no_state(user: Path) -> None:
    ran = hyops(
        user, "validate", "--env", "dev", "--skip-preflight",
        "--module", "core/shared/vyos-image-build", "--inputs", EXAMPLE,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "warning: org/gcp/object-repo#vyos_records has no state" in ran.stdout
    assert "HYOPS_VYOS_GCS_SA_JSON is unset" in ran.stdout
    assert not (user / ".hybridops/envs/dev/state").exists()


def test_validate_with_preflight_refuses_an_unresolved_state(user: Path) -> None:
    error = not_started(hyops(user, "validate", "--env", "dev", "--module", IMAGE_BUILD, "--inputs", EXAMPLE))
    assert error == "org/gcp/object-repo#vyos_records has no state"
    assert empty(user)


@pytest.mark.parametrize("example", sorted((CHECKOUT / "modules").rglob("examples/*.yml")), ids=lambda path: path.stem)
def test_every_example_of_a_module_validates(user: Path, example: Path) -> None:
    module = example.parent.parent.relative_to(CHECKOUT / "modules")
    ran = hyops(user, "validate", "--env", "dev", "--skip-preflight", "--module", module, "--inputs", example)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("record_version: latest\n", "record_version"),
        ("record_version: 2026.03.03-0027-rolling\nno_such_input: 1\n", "no_such_input"),
        ("record_version: CHANGE_ME\n", "placeholders are left in: record_version"),
        ("record_key: a\nrecord_format: vmdk\n", "record_key.*record_format"),
        ("- a\n- list\n", "no mapping"),
        ("[unclosed", "cannot be read"),
        ("when: 2026-13-45", "cannot be read"),
        (" " * ((1 << 20) + 1), "larger than"),
    ],
    ids=["version", "unknown-key", "placeholder", "two-wrong", "list", "unclosed", "impossible-date", "huge"],
)
def test_wrong_inputs_are_named_before_anything_happens(user: Path, tmp_path: Path, content: str, why: str) -> None:
    inputs = tmp_path / "inputs.yml"
    inputs.write_text(content)
    assert re.search(
        why, not_started(hyops(user, "validate", "--env", "dev", "--module", IMAGE_BUILD, "--inputs", inputs))
    )
    assert empty(user)


def test_apply_refuses_wrong_inputs_as_validate_does(user: Path, tmp_path: Path) -> None:
    environment_of(user)
    inputs = tmp_path / "inputs.yml"
    inputs.write_text("record_version: latest\n")
    both = [
        not_started(hyops(user, word, "--env", "dev", "--module", IMAGE_BUILD, "--inputs", inputs))
        for word in ("validate", "apply")
    ]
    assert both[0] == both[1]
    assert list(environment_of(user).iterdir()) == []


MODULE = ("--module", IMAGE_BUILD, "--inputs", EXAMPLE)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("validate", *MODULE), "no environment is named"),
        (("plan", *MODULE), "no environment is named"),
        (("apply", *MODULE), "no environment is named"),
        (("preflight", *MODULE), "no environment is named"),
        (("show", IMAGE_BUILD, "--env", "a", "--root", "b"), "exclude each other"),
        (("apply", "--env", "dev", "--skip-preflight", *MODULE), "--skip-preflight with apply needs a reason"),
        (("deploy", "--env", "dev", "--skip-preflight", *MODULE), "--skip-preflight with apply needs a reason"),
        (
            ("apply", "--env", "dev", "--skip-preflight", "--preflight-bypass-reason", "x" * 501, *MODULE),
            "at most 500 characters",
        ),
        (
            ("validate", "--env", "dev", "--skip-preflight", "--preflight-bypass-reason", "two\nlines", *MODULE),
            "one printable line",
        ),
        (
            ("plan", "--env", "dev", "--state-instance", "a", "--module", f"{IMAGE_BUILD}#b"),
            "--module names the state instance b, --state-instance a",
        ),
        (("preflight", "--env", "dev", "--target", "mars"), "--target 'mars' is none"),
        (("show", "env", "x"), "takes nothing more"),
        (("show", "module"), "names no module"),
        (("show", "modules", IMAGE_BUILD), "knows no 'modules'"),
    ],
)
def test_a_command_line_that_cannot_be_followed_ends_with_2_and_changes_nothing(
    user: Path, words: tuple[str, ...], why: str
) -> None:
    root = environment_of(user)
    assert why in refused(hyops(user, *words), before="ERR: ", status=2)
    assert list(root.iterdir()) == []


def test_showing_a_module_that_is_none_lists_those_that_are(user: Path) -> None:
    environment_of(user)
    ran = hyops(user, "show", "module", "core/onprem/vyos-template-sead", "--env", "dev")
    assert ran.returncode != 0
    assert "no module 'core/onprem/vyos-template-sead'" in ran.stderr
    assert "core/onprem/vyos-template-seed" in ran.stderr


@pytest.mark.parametrize("words", [("apply",), ("no-such-command",), ("validate", "--no-such-flag"), ("apply", "x")])
def test_what_the_parser_refuses_ends_with_2(user: Path, words: tuple[str, ...]) -> None:
    ran = hyops(user, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("variable", ["HYOPS_ENV", "HYOPS_RUNTIME_ROOT"])
def test_a_variable_names_the_environment_too(user: Path, variable: str) -> None:
    environment_of(user)
    value = {"HYOPS_ENV": "dev", "HYOPS_RUNTIME_ROOT": str(user / ".hybridops/envs/dev")}[variable]
    ran = shell.hyops({**environment(user), variable: value}, "validate", "--skip-preflight", *MODULE)
    assert ran.returncode == 0, ran
    assert str(user / ".hybridops/envs/dev/logs/module") in ran.stdout


def test_an_instance_is_named_after_a_hash_or_by_its_flag(user: Path) -> None:
    environment_of(user)
    for words in (("--module", f"{IMAGE_BUILD}#other"), ("--module", IMAGE_BUILD, "--state-instance", "OTHER")):
        ran = hyops(user, "validate", "--env", "dev", "--skip-preflight", *words, "--inputs", EXAMPLE)
        meta = json.loads(Path(ran.stdout.splitlines()[0].removeprefix("run record: "), "meta.json").read_text())
        assert meta["state_instance"] == "other"


def test_an_unknown_module_is_answered_with_the_known_ones(user: Path) -> None:
    root = environment_of(user)
    for command in ("validate", "apply"):
        ran = hyops(user, command, "--env", "dev", "--module", "core/no/such")
        assert not_started(ran) == "no module 'core/no/such'"
        assert all(module in ran.stderr for module in (IMAGE_BUILD, IMAGE_SEED))
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("example", [EXAMPLE, SEED_EXAMPLE], ids=["build", "seed"])
def test_apply_with_an_unresolved_state_creates_nothing(user: Path, example: str) -> None:
    module = str(Path(example).parent.parent.relative_to("modules"))
    root = environment_of(user)
    assert "has no state" in not_started(hyops(user, "apply", "--env", "dev", "--module", module, "--inputs", example))
    assert list(root.iterdir()) == []


def test_apply_does_not_consume_a_state_that_is_not_ok(user: Path) -> None:
    states = StateStore(RuntimeRoot(user / ".hybridops/envs/dev"))
    ref = StateRef.parse("core/shared/vyos-image-build#vyos_default_build")
    states.commit(ref, run_id="one", outputs=record_outputs(contract()))
    path = states.path(ref)
    path.write_text(path.read_text().replace('"status": "ok"', '"status": "running"'))
    before = path.read_text()
    error = not_started(hyops(user, "apply", "--env", "dev", "--module", IMAGE_SEED, "--inputs", SEED_EXAMPLE))
    assert error.endswith("is not ready (status=running)")
    assert path.read_text() == before


def test_show_of_a_missing_state_names_where_it_looked(user: Path) -> None:
    error = refused(hyops(user, "show", f"{IMAGE_BUILD}#vyos_default_build"))
    assert str(user / ".hybridops/envs/dev") in error
    assert empty(user)


def test_show_prints_a_state_for_people_and_as_it_lies_there(user: Path) -> None:
    states = StateStore(RuntimeRoot(user / ".hybridops/envs/dev"))
    states.commit(StateRef(IMAGE_BUILD), run_id="one", outputs=record_outputs(contract()))
    assert contract().record.disk.sha256 in hyops(user, "show", IMAGE_BUILD).stdout
    assert hyops(user, "show", IMAGE_BUILD, "--json").stdout == states.path(StateRef(IMAGE_BUILD)).read_text()


def test_show_of_a_broken_state_is_one_line(user: Path) -> None:
    path = StateStore(RuntimeRoot(user / ".hybridops/envs/dev")).path(StateRef(IMAGE_BUILD))
    path.parent.mkdir(parents=True)
    path.write_text('{"status": "o')
    assert str(path) in refused(hyops(user, "show", IMAGE_BUILD))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("show", "../../etc"), "is not a state reference"),
        (("show", IMAGE_BUILD, "--env", "../x"), "is not an environment name"),
        (("lab", "up", "--root", "/dev/null/x"), "Not a directory"),
    ],
    ids=["traversal", "env-name", "no-directory"],
)
def test_what_cannot_be_done_is_one_line_and_a_next_step(user: Path, words: tuple[str, ...], why: str) -> None:
    assert why in refused(hyops(user, *words))
    assert empty(user)


def test_a_full_disk_is_one_line_and_leaves_no_half_file(user: Path) -> None:
    command = ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", *HYOPS, "init", "--env", "dev"]
    ran = subprocess.run(
        command, env=environment(user), cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60
    )
    assert refused(ran) == "a file: File too large"
    assert [path for path in user.rglob("*") if path.is_file()] == []


def test_a_pipeline_yml_with_a_mistake_stops_every_command_that_reads_it(user: Path) -> None:
    root = RuntimeRoot(user / ".hybridops/envs/dev")
    root.settings_file.parent.mkdir(parents=True)
    root.settings_file.write_text("feed: {poll_seconds: 1}\n")
    inputs = user / "inputs.yml"
    inputs.write_text(f"record_version: {RELEASE}\n")
    assert "feed.poll_seconds" in refused(hyops(user, "lab", "up"))
    apply = ("apply", "--env", "dev", "--module", IMAGE_BUILD, "--inputs", inputs)
    assert "feed.poll_seconds" in not_started(hyops(user, *apply))
    assert sorted(path.name for path in root.path.iterdir()) == ["config"]


@pytest.mark.parametrize("what", ["down", "env", "boot"])
def test_a_lab_that_is_not_there_is_refused_and_those_that_are_there_are_listed(user: Path, what: str) -> None:
    ran = hyops(user, "lab", what, "--env", "nolab")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "there is no lab in" in ran.stderr
    assert "(environments with a lab: none)" in ran.stderr
    assert "hyops lab up --env nolab" in ran.stderr
    assert empty(user)
    for name, below in (("prod", "config"), ("dev", "work/lab")):
        (user / ".hybridops/envs" / name / below).mkdir(parents=True)
    for name in ("nolab", "prod"):
        assert "(environments with a lab: dev)" in hyops(user, "lab", what, "--env", name).stderr


def test_a_lab_that_is_not_up_is_stopped_without_an_error(user: Path) -> None:
    (user / ".hybridops/envs/dev/work/lab").mkdir(parents=True)
    ran = hyops(user, "lab", "down", "--env", "dev")
    assert (ran.returncode, ran.stdout) == (0, "no lab was up\n")


def test_lab_up_leaves_a_pipeline_yml_alone_that_no_lab_wrote(user: Path) -> None:
    root = RuntimeRoot(user / ".hybridops/envs/dev")
    root.settings_file.parent.mkdir(parents=True)
    root.settings_file.write_text("feed: {poll_seconds: 60}  # ours\n")
    error = refused(hyops(user, "lab", "up"))
    assert "was not written by a lab" in error
    assert root.settings_file.read_text() == "feed: {poll_seconds: 60}  # ours\n"
    assert sorted(path.name for path in root.path.iterdir()) == ["config"]


def test_global_flags_are_hybridops(user: Path) -> None:
    assert re.fullmatch(r"hyops \d+\.\d+\.\d+\S*\n", hyops(user, "--version").stdout)
    shown = hyops(user, "--no-color", "-v", "show", "env")
    assert (shown.returncode, shown.stderr) == (0, ""), shown
    assert "runtime_root: " in shown.stdout


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory in which a lab is up."""
    return tmp_path_factory.mktemp("resident")


@pytest.fixture(scope="module")
def lab(resident: Path) -> Iterator[subprocess.CompletedProcess[str]]:
    yield hyops(resident, "lab", "up", "--release", "")
    hyops(resident, "lab", "down")


@pytest.mark.seconds
def test_lab_up_writes_settings_without_secrets_and_lab_env_reaches_it(
    resident: Path, lab: subprocess.CompletedProcess[str]
) -> None:
    assert (lab.returncode, lab.stderr) == (0, "")
    user = resident
    root = RuntimeRoot(user / ".hybridops/envs/dev")
    assert {path.stat().st_mode & 0o777 for path in (root.path, *root.path.iterdir())} == {0o700}
    exports = hyops(user, "lab", "env").stdout
    printed = subprocess.run(
        ["bash", "-c", 'eval "$1"; printf "%s\n" "${!2}" "${!3}"', "-", exports, PROXMOX_TOKEN_ENV, HETZNER_TOKEN_ENV],
        check=True,
        capture_output=True,
        text=True,
    )
    tokens = printed.stdout.split()
    assert len(tokens) == 2
    assert yaml.safe_load(root.settings_file.read_text())["lab"] is True
    assert not any(token in root.settings_file.read_text() + lab.stdout for token in tokens)


def test_lab_up_twice_is_one_lab_and_lab_down_ends_it(resident: Path, lab: subprocess.CompletedProcess[str]) -> None:
    assert hyops(resident, "lab", "up", "--release", "").stdout == lab.stdout
    assert hyops(resident, "lab", "down").stdout == "the lab is down\n"
    assert processes.naming(resident) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "stop"),
    [
        pytest.param("assemble", signal.SIGINT, id="assemble", marks=pytest.mark.long),
        pytest.param("assemble", signal.SIGTERM, id="terminated"),
        pytest.param("boot", signal.SIGINT, id="boot"),
    ],
)
def test_an_interrupted_apply_exits_130_leaves_no_process_and_is_resumed(
    home: LabEnvironment, tmp_path: Path, moment: str, stop: signal.Signals
) -> None:
    inputs = tmp_path / "inputs.yml"
    inputs.write_text(f"record_version: {RELEASE}\n")
    running = subprocess.Popen(
        [*HYOPS, "apply", "--root", str(home.root.path), "--module", IMAGE_BUILD, "--inputs", inputs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        start_new_session=True,
    )
    scratch = home.root.artifacts / "scratch"

    def at_work() -> bool:
        assert running.poll() is None, running.communicate()
        if moment == "assemble":
            # By its directory: each program of it works for a moment only, which a busy host's test would miss.
            return scratch.is_dir() and any(scratch.iterdir())
        return any("qemu-system" in words for words in processes.naming(home.root.artifacts).values())

    # With the time that others hold both turns to boot.
    wait_until(f"it comes to {moment}", at_work, within=600, every=0.01)
    # A terminal sends Ctrl-C to everything that runs in its foreground, a service manager SIGTERM to the one process.
    (os.killpg if stop is signal.SIGINT else os.kill)(running.pid, stop)
    stdout, stderr = running.communicate(timeout=60)
    assert (running.returncode, stderr) == (130, "cancelled\n"), stdout
    state = home.state("core__shared__vyos-image-build/instances/vyos_default_build.json")
    assert (state["status"], state["last_error"], state["outputs"]) == ("error", "cancelled", {})
    assert stdout.splitlines()[-3].startswith(f"module={IMAGE_BUILD} status=cancelled run_id=apply-")
    ended = home.instance.get_runs(limit=1)[0]
    assert ended.is_finished
    assert ended.tags["hyops/run_id"] == state["run_id"]
    assert processes.naming(home.root.path) == {}
    assert [name for name in home.published() if RELEASE in name] == []
    assert list(scratch.iterdir()) == []
    home.graph().build(RELEASE)


@pytest.mark.parametrize("command", ["apply", "plan"])
def test_a_site_that_is_not_configured_is_said_before_a_record_that_is_missing_too(user: Path, command: str) -> None:
    root = RuntimeRoot(user / ".hybridops/envs/dev")
    root.settings_file.parent.mkdir(parents=True)
    root.settings_file.write_text("sites: {hetzner: {fsn: {token_env: HCLOUD_TOKEN}}}\n")
    inputs = user / "inputs.yml"
    inputs.write_text(f"record_state_ref: {IMAGE_BUILD}#vyos_default_build\nsite: fns\n")
    error = not_started(hyops(user, command, "--env", "dev", "--module", IMAGE_SEED, "--inputs", inputs))
    assert "no hetzner site 'fns' is configured (configured: fsn)" in error


@pytest.mark.parametrize(
    ("slot", "site", "why"),
    [
        ("berlim", "", "no hetzner site is called berlim, and one is called berlin"),
        ("mnuich", "", "no hetzner site is called mnuich, and one is called munich"),
        ("berlin", "", "berlin is the default site, whose slot is latest.json"),
        ("trial", "", None),
        ("berlin2", "", None),
        ("vyos_berlin", "", None),
        ("munich", "berlin", "the state instance munich is the slot of site munich, and the inputs name site berlin"),
        ("trial", "berlin", None),
        ("berlin", "berlin", None),
        ("munich", "", None),
    ],
)
def test_a_slot_whose_name_may_be_meant_for_a_site_is_refused(
    user: Path, slot: str, site: str, why: str | None
) -> None:
    inputs = user / "inputs.yml"
    inputs.write_text(f"record_state_ref: {IMAGE_BUILD}#vyos_default_build\n" + (f"site: {site}\n" if site else ""))
    settings_of(user, "berlin", "munich")
    ran = hyops(
        user, "plan", "--env", "dev", "--module", IMAGE_SEED, "--state-instance", slot, "--inputs", inputs
    )  # fmt: skip
    error = not_started(ran)
    assert error.startswith(why or f"{IMAGE_BUILD}#vyos_default_build has no state")


@pytest.mark.parametrize("written", [False, True])
def test_a_slot_that_is_written_already_was_meant(user: Path, written: bool) -> None:
    slot, root = "berlim", settings_of(user, "berlin")
    if written:
        StateStore(root).commit(StateRef(IMAGE_SEED, slot), run_id="apply-1", outputs={"image_ref": "1"})
    inputs = user / "inputs.yml"
    inputs.write_text(f"record_state_ref: {IMAGE_BUILD}#vyos_default_build\n")
    ran = hyops(user, "preflight", "--env", "dev", "--module", f"{IMAGE_SEED}#{slot}", "--inputs", inputs)
    assert (f"no hetzner site is called {slot}" in ran.stdout) is not written
    assert ran.returncode == 11


@pytest.mark.parametrize(
    ("skip", "status", "said"), [((), 1, "preflight failed: site"), (("--skip-preflight",), 0, "warning")]
)
def test_validating_says_that_a_slot_may_be_meant_for_a_site(
    user: Path, skip: tuple[str, ...], status: int, said: str
) -> None:
    settings_of(user, "berlin")
    inputs = user / "inputs.yml"
    record = {"url": f"https://records.example.net/vyos-{RELEASE}.raw.xz", "version": RELEASE, "sha256": "0" * 64}
    inputs.write_text("".join(f"record_{name}: '{value}'\n" for name, value in record.items()))
    ran = hyops(
        user, "validate", *skip, "--env", "dev", "--module", f"{IMAGE_SEED}#berlim", "--inputs", inputs
    )  # fmt: skip
    assert ran.returncode == status
    assert re.search(rf"{said}: no hetzner site is called berlim", ran.stdout + ran.stderr)


def settings_of(user: Path, *sites: str) -> RuntimeRoot:
    """Write the settings of environment dev: Hetzner sites of these names."""
    root = RuntimeRoot(user / ".hybridops/envs/dev")
    root.settings_file.parent.mkdir(parents=True)
    lines = ", ".join(f"{name}: {{token_env: HCLOUD_{name.upper()}}}" for name in sites)
    root.settings_file.write_text(f"sites: {{hetzner: {{{lines}}}}}\n")
    return root


def test_where_nothing_was_seeded_yet_drift_says_so(user: Path) -> None:
    settings_of(user)
    ran = hyops(user, "drift", "--env", "dev")
    assert (ran.returncode, ran.stdout) == (0, "nothing was published or seeded here yet\n")
