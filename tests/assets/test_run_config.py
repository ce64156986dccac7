"""Who reaches the UI writes configuration and tags of runs: neither names a command, a secret, a path or a root."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hyops_assets.assets.run_config import BadRunConfig, RunOptions, read_asked
from hyops_assets.assets.run_liveness import PROCESS_TAG, RunProcess
from hyops_assets.assets.run_tags import BadTag
from hyops_assets.cli.graph import Graph
from hyops_assets.contract.handed_over import Errand, HandedOver
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import BadReference
from hyops_assets.definitions import OP_OPTIONS, build_definitions
from hyops_assets.seeds.partitions import add_version
from hyops_assets.settings.pipeline import Settings
from resources.environment import Environment
from resources.handed_over import HANDED_OVER_TAG, MAX_BYTES, HandedOverRoom, NotHandedOver, handed_over_to
from tests.assets.environment import LabEnvironment

RELEASE, OTHER = "2026.03.03-0027-rolling", "2026.03.04-0027-rolling"
QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}

LOGGERS = {"loggers.console.config.log_level": "String", "loggers.console.config.name": "String"}
LEAVES = {
    "vyos_iso": {"source_iso_url": "String"},
    "qcow2_record": {
        "record_url": "String",
        "record_sha256": "String",
        "rebuild_if_exists": "Bool",
        "rebuild_reason": "String",
    },
    "published_contract": {
        "record_key": "String",
        "record_document_url": "String",
        "urls.*": "String",
        "sha256.*": "String",
        "source_iso_url": "String",
    },
    "forget": {"partition": "String", "apply": "Bool", "referred_to": "Bool"},
    "proxmox_template": {
        "template_vm_id": "Int",
        "template_name": "String",
        "seed_if_missing": "Bool",
        "rebuild_if_exists": "Bool",
        "storage_vm": "String",
        "network_bridge": "String",
        "cpu_cores": "Int",
        "memory_mb": "Int",
        "ci_username": "String",
        "template_smoke_gate": "Bool",
        "template_smoke_wait_s": "Int",
        "template_smoke_vmid": "Int",
        "template_smoke_bridge": "String",
    },
    "hetzner_image": {
        "over_daily_cap": "Bool",
        "image_ref": "String",
        "seed_if_missing": "Bool",
        "seed_location": "String",
        "seed_server_type": "String",
    },
}
"""Everything that may be asked in a run's configuration, by op. All of it is harmless: see `WHAT_TO_DO`."""

WHAT_TO_DO = (
    "a run's configuration has another field than LEAVES lists, and who reaches the UI fills it. If it is a command, "
    "the name of a variable, a path or a root, make it a field of HandedOver (docs/decisions/0019). If it is "
    "harmless, give it a grammar and bounds, and list it here. Never use dg.Config or ConfigurableResource: their "
    'texts take {"env": NAME}.'
)
UNREAD = {"ops.*": "anything", "resources.*": "anything"}
"""The job behind "Materialize" lets pass what is said of ops and resources that it has not: nothing reads it."""
JOBS = {
    "__ASSET_JOB": set(LEAVES) - {"forget"},
    "build_record": {"vyos_iso", "qcow2_record", "published_contract"},
    "adopt_record": {"qcow2_record", "published_contract"},
    "register_record": {"published_contract"},
    "seed_proxmox_template": {"proxmox_template"},
    "seed_hetzner_image": {"hetzner_image"},
    "look_for_missing_seeds": set(),
    "reap_leftovers": set(),
    "look_for_drift": set(),
    "forget_partition": {"forget"},
}


def leaves(found: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every place of a config type at which a value of one's own may stand, with the type of that value."""
    kind = found.kind.value
    if kind in ("STRICT_SHAPE", "PERMISSIVE_SHAPE", "SELECTOR"):
        if kind == "PERMISSIVE_SHAPE":
            yield f"{where}.*", "anything"
        for name, below in found.fields.items():
            yield from leaves(below.config_type, f"{where}.{name}" if where else name)
    elif kind == "NONEABLE":
        yield from leaves(found.inner_type, where)
    elif kind in ("ARRAY", "MAP"):
        yield from leaves(found.inner_type, f"{where}.*")
    else:
        yield where, found.given_name or found.key


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(RuntimeRoot(Path("/nowhere")), Settings())


def test_every_field_of_every_job_s_configuration_is_known_and_harmless(definitions: dg.Definitions) -> None:
    jobs = {job.name: job for job in definitions.resolve_all_job_defs()}
    assert set(jobs) == set(JOBS), WHAT_TO_DO
    for name, job in jobs.items():
        expected = {f"ops.{op}.config.{leaf}": type_ for op in JOBS[name] for leaf, type_ in LEAVES[op].items()}
        expected |= LOGGERS | (UNREAD if name == "__ASSET_JOB" else {})
        assert dict(leaves(job.run_config_schema.config_type)) == expected, f"{name}: {WHAT_TO_DO}"


def test_every_op_that_can_be_asked_has_its_options_validated() -> None:
    assert set(OP_OPTIONS) == set(LEAVES)


@dataclass
class Launcher:
    """Launches runs as the UI does: from a configuration and tags that anyone may have written."""

    root: RuntimeRoot
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    marker: Path
    started: list[str] = field(default_factory=list)

    def launch(
        self, config: Mapping[str, Any] | None = None, tags: Mapping[str, str] | None = None, **where: str
    ) -> str:
        """Run a job and return why it failed, or nothing; note which steps began."""
        job = self.definitions.resolve_job_def(where.get("job", "build_record"))
        ran = job.execute_in_process(
            instance=self.instance,
            partition_key=where.get("partition", RELEASE),
            run_config={"loggers": QUIET, **(config or {})},
            tags=dict(tags or {}),
            raise_on_error=False,
        )
        self.started = [str(event.step_key) for event in ran.all_events if event.is_step_start]
        failures = (event for event in ran.all_events if event.event_type is dg.DagsterEventType.PIPELINE_FAILURE)
        errors = [event.job_failure_data.error for event in failures]
        return "".join(error.cause.message if error and error.cause else str(error) for error in errors)

    @property
    def line(self) -> str:
        return f"touch {self.marker}"

    def nothing_ran(self) -> bool:
        return self.started == [] and not self.marker.exists()


def asked_of(run: dg.DagsterRun) -> RunOptions:
    return read_asked(Environment(RuntimeRoot(Path("/nowhere")), run), OP_OPTIONS)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    directory = tmp_path_factory.mktemp("power")
    root = RuntimeRoot(directory / "root")
    with dg.DagsterInstance.ephemeral() as instance:
        for version in (RELEASE, OTHER):
            add_version(instance, version)
        yield Launcher(root, instance, build_definitions(root, Settings()), directory / "ran")


def refused(definitions: dg.Definitions, job: str, config: Mapping[str, Any]) -> str:
    """Why Dagster launches no run of this configuration."""
    with pytest.raises(dg.DagsterInvalidConfigError) as caught:
        dg.validate_run_config(definitions.resolve_job_def(job), dict(config))
    return str(caught.value)


def test_the_attack_by_a_resource_s_command_is_refused_at_launch(launcher: Launcher) -> None:
    hostile = {"root": str(launcher.root.path), "build_command": launcher.line, "build_env": ["SECRET"]}
    with pytest.raises(dg.DagsterInvalidConfigError, match=r"unexpected config entries.*build_command"):
        launcher.launch({"resources": {"settings": {"config": hostile}}})
    assert launcher.nothing_ran()


@pytest.mark.parametrize("name", ["root", "build_command", "publish_command", "repo_state_ref", "base_dir"])
def test_no_resource_takes_a_root_a_command_or_a_path(definitions: dg.Definitions, name: str) -> None:
    resources = definitions.resolve_job_def("build_record").resource_defs
    for resource in resources:
        said = refused(definitions, "build_record", {"resources": {resource: {"config": {name: "/tmp"}}}})
        assert f'unexpected config entry "{name}"' in said


@pytest.mark.parametrize(
    ("job", "op", "name", "value"),
    [
        ("build_record", "qcow2_record", "record_local_path", "/etc/shadow"),
        ("build_record", "qcow2_record", "root", "/tmp"),
        ("build_record", "qcow2_record", "smoke_verify_command", "true"),
        ("build_record", "qcow2_record", "smoke_verify_workdir", "/tmp"),
        ("build_record", "qcow2_record", "smoke_verify_required", False),
        ("build_record", "qcow2_record", "smoke_verify_env", ["SECRET"]),
        ("build_record", "qcow2_record", "build_command", "true"),
        ("build_record", "published_contract", "publish_command", "true"),
        ("build_record", "published_contract", "repo_state_ref", "org/gcp/object-repo"),
        ("build_record", "raw_xz_record", "anything", 1),
        ("seed_proxmox_template", "proxmox_template", "seed_command", "true"),
        ("seed_proxmox_template", "proxmox_template", "seed_env", ["SECRET"]),
        ("seed_hetzner_image", "hetzner_image", "seed_command", "true"),
        ("seed_hetzner_image", "hetzner_image", "wrapper_base_url", "http://192.0.2.1"),
        ("seed_hetzner_image", "hetzner_image", "wrapper_port", 22),
    ],
)
def test_no_asset_takes_a_command_a_path_or_the_name_of_a_secret(
    definitions: dg.Definitions, job: str, op: str, name: str, value: object
) -> None:
    assert f'unexpected config entry "{name}"' in refused(definitions, job, {"ops": {op: {"config": {name: value}}}})


def test_the_executor_s_behaviour_is_not_for_a_configuration_to_choose(definitions: dg.Definitions) -> None:
    careless = {"step_dependency_config": {"require_upstream_step_success": False}}
    assert "step_dependency_config" in refused(definitions, "build_record", {"execution": {"config": careless}})


def test_no_value_can_be_that_of_a_variable_of_the_host(
    definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "a-secret-token")
    secret = {"env": "HCLOUD_TOKEN"}
    for job, ops in JOBS.items():
        for op, leaf in ((one, leaf) for one in ops for leaf in LEAVES[one]):
            name, _, of_each = leaf.partition(".")
            config = {name: {"qcow2": secret} if of_each else secret}
            assert "a-secret-token" not in refused(definitions, job, {"ops": {op: {"config": config}}})


@pytest.mark.parametrize(
    ("op", "name", "value"),
    [
        ("vyos_iso", "source_iso_url", "/srv/vyos.iso"),
        ("vyos_iso", "source_iso_url", "file:///srv/vyos.iso"),
        ("vyos_iso", "source_iso_url", "http://mirror.example/vyos.iso"),
        ("vyos_iso", "source_iso_url", "https://user:a-secret@mirror.example/vyos.iso"),
        ("vyos_iso", "source_iso_url", "https://mirror.example/vyos.iso?token=a-secret"),
        ("vyos_iso", "source_iso_url", "https://[::1"),
        ("vyos_iso", "source_iso_url", "https://mirror.example:99999/vyos.iso"),
        ("qcow2_record", "record_url", "file:///etc/shadow"),
        ("qcow2_record", "record_sha256", "../../x"),
        ("qcow2_record", "rebuild_reason", "two\nlines"),
        ("qcow2_record", "rebuild_reason", "x" * 10_001),
        ("published_contract", "record_key", "../../x"),
        ("published_contract", "record_document_url", "file:///etc/shadow"),
        ("published_contract", "urls", {"qcow2": "file:///etc/shadow"}),
        ("published_contract", "urls", {"vmdk": "https://mirror.example/x.vmdk"}),
        ("published_contract", "sha256", {"qcow2": "x"}),
    ],
)
def test_a_value_that_is_not_harmless_is_refused(op: str, name: str, value: object) -> None:
    run = dg.DagsterRun("build_record", run_config={"ops": {op: {"config": {name: value}}}})
    with pytest.raises(BadRunConfig, match=f"configuration of {op}: {name}") as caught:
        asked_of(run)
    assert "a-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_it_is_refused_before_the_first_step_begins(launcher: Launcher) -> None:
    config = {"qcow2_record": {"config": {"rebuild_reason": "two\nlines"}}}
    assert "BadRunConfig" in launcher.launch({"ops": config})
    assert launcher.nothing_ran()


@pytest.mark.parametrize(
    ("cloud", "name", "value"),
    [
        ("proxmox_template", "storage_vm", "local:../../x,import-from=/etc/shadow"),
        ("proxmox_template", "network_bridge", "vmbr0,firewall=0,tag=5"),
        ("proxmox_template", "template_smoke_bridge", "vmbr0,tag=5"),
        ("proxmox_template", "template_name", "../x"),
        ("proxmox_template", "template_vm_id", 1),
        ("proxmox_template", "cpu_cores", 10**9),
        ("proxmox_template", "memory_mb", 10**12),
        ("proxmox_template", "template_smoke_wait_s", 10**9),
        ("hetzner_image", "image_ref", "a b"),
        ("hetzner_image", "seed_location", "../x"),
        ("hetzner_image", "seed_server_type", "CPX?x=1"),
    ],
)
def test_names_and_numbers_of_a_seed_have_a_grammar(cloud: str, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        OP_OPTIONS[cloud].model_validate({name: value})


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("hyops/state_instance", "../../../etc/x"),
        ("hyops/state_instance", "x/y"),
        ("hyops/record_state", "/etc/passwd"),
        ("hyops/record_state", "core/shared/../../x"),
        ("hyops/run_id", "../../x"),
        ("hyops/run_id", "apply\nx"),
        (HANDED_OVER_TAG, "../../../tmp/x"),
        (HANDED_OVER_TAG, "0" * 63 + "\n"),
    ],
)
def test_no_tag_leads_to_a_path(tag: str, value: str) -> None:
    with pytest.raises((BadTag, BadReference, NotHandedOver)):
        asked_of(dg.DagsterRun("build_record", tags={tag: value, "dagster/partition": RELEASE}))


def test_a_state_s_instance_that_leads_out_of_the_states_stops_the_run_before_its_first_step(
    launcher: Launcher,
) -> None:
    assert "names no state instance" in launcher.launch(tags={"hyops/state_instance": "../../x"})
    assert launcher.nothing_ran()


def test_the_process_that_a_tag_names_is_a_number_or_none() -> None:
    run = dg.DagsterRun("build_record", tags={})
    here = RunProcess.this().tag(run.run_id)[PROCESS_TAG]
    assert RunProcess.of(run.with_tags({PROCESS_TAG: here})) == RunProcess.this()
    *words, _, started = here.split(":")
    lost = ":".join((*words, "../../tmp/x", started))
    assert RunProcess.of(run.with_tags({PROCESS_TAG: lost})) is None


@pytest.fixture
def room(launcher: Launcher) -> HandedOverRoom:
    return HandedOverRoom(launcher.root)


def hand_over(launcher: Launcher, room: HandedOverRoom) -> str:
    """Hand a build command over to the build of RELEASE, as `hyops apply` does."""
    launcher.marker.unlink(missing_ok=True)
    return room.write(Errand(job="build_record", partition=RELEASE), HandedOver(build_command=launcher.line))


def test_what_was_handed_over_is_private_and_the_same_inputs_have_the_same_digest(
    launcher: Launcher, room: HandedOverRoom
) -> None:
    digest = hand_over(launcher, room)
    assert hand_over(launcher, room) == digest
    files = list(launcher.root.handed_over.iterdir())
    assert {file.name for file in files} >= {"key", f"{digest}.json"}
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert launcher.root.handed_over.stat().st_mode & 0o777 == 0o700
    key = (launcher.root.handed_over / "key").read_text().strip()
    assert key not in room.path(digest).read_text()


def test_a_document_that_is_missing_changed_or_forged_is_refused(launcher: Launcher, room: HandedOverRoom) -> None:
    digest = hand_over(launcher, room)
    errand, path = Errand(job="build_record", partition=RELEASE), room.path(digest)
    assert room.read(digest, errand).build_command == launcher.line
    body, mac = path.read_bytes().splitlines()

    for forged in (mac[::-1], b"", b"0" * 64, mac + b"0", mac):
        another = write_named(room, body.replace(b"touch", b"touch ") + b"\n" + forged + b"\n")
        with pytest.raises(NotHandedOver, match="was not written by this environment's hyops apply"):
            room.read(another, errand)

    path.write_bytes(body.replace(b"touch", b"rm -r") + b"\n" + mac + b"\n")
    with pytest.raises(NotHandedOver, match="was changed after it was handed over"):
        room.read(digest, errand)
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(NotHandedOver, match="is no private file"):
        room.read(digest, errand)
    path.unlink()
    with pytest.raises(NotHandedOver, match="is not here"):
        room.read(digest, errand)
    path.symlink_to("/etc/passwd")
    with pytest.raises(NotHandedOver, match="cannot be read"):
        room.read(digest, errand)
    path.unlink()


def test_nothing_runs_of_a_run_whose_document_was_forged(launcher: Launcher, room: HandedOverRoom) -> None:
    body, mac = room.path(hand_over(launcher, room)).read_bytes().splitlines()
    forged = write_named(room, body.replace(b"touch", b"touch ") + b"\n" + mac + b"\n")
    assert "was not written by this environment's hyops apply" in launcher.launch(tags={HANDED_OVER_TAG: forged})
    assert launcher.nothing_ran()


def write_named(room: HandedOverRoom, content: bytes) -> str:
    """Put bytes of one's own into the room, under their right digest."""
    digest = sha256(content).hexdigest()
    room.path(digest).write_bytes(content)
    return digest


def test_a_document_of_another_environment_s_key_is_refused(
    launcher: Launcher, room: HandedOverRoom, tmp_path: Path
) -> None:
    hand_over(launcher, room)
    foreign = HandedOverRoom(RuntimeRoot(tmp_path / "other"))
    digest = hand_over(launcher, foreign)
    shutil.copy(foreign.path(digest), room.path(digest))
    with pytest.raises(NotHandedOver, match="was not written by this environment's hyops apply"):
        room.read(digest, Errand(job="build_record", partition=RELEASE))


def test_a_document_is_for_its_own_job_and_partition_only(launcher: Launcher, room: HandedOverRoom) -> None:
    handed = {HANDED_OVER_TAG: hand_over(launcher, room)}
    one = handed | {"dagster/partition": RELEASE}
    assert handed_over_to(launcher.root, dg.DagsterRun("build_record", tags=one)).build_command == launcher.line
    for job, tags in (
        ("build_record", handed),
        ("build_record", handed | {"dagster/partition": OTHER}),
        ("build_record", one | {"dagster/partition/version": OTHER}),
        ("build_record", one | {"dagster/asset_partition_range_start": OTHER}),
        ("adopt_record", one),
        ("__ASSET_JOB", one),
    ):
        with pytest.raises(NotHandedOver, match="is not meant for"):
            handed_over_to(launcher.root, dg.DagsterRun(job, tags=tags))


def test_a_key_that_others_can_read_is_not_used(launcher: Launcher, room: HandedOverRoom) -> None:
    digest = hand_over(launcher, room)
    key = launcher.root.handed_over / "key"
    key.chmod(0o640)
    try:
        with pytest.raises(NotHandedOver, match="is no private file"):
            room.read(digest, Errand(job="build_record", partition=RELEASE))
        with pytest.raises(NotHandedOver, match="is no private file"):
            hand_over(launcher, room)
    finally:
        key.chmod(0o600)


@pytest.mark.slow
def test_a_run_executed_again_is_handed_over_the_same(built: LabEnvironment, tmp_path: Path) -> None:
    line = f"echo $HYOPS_VYOS_ARTIFACT_VERSION >> {tmp_path}/ran"
    graph: Graph = built.graph(HandedOver(smoke_verify_command=line))
    first = graph.build(RELEASE)
    run = built.instance.get_run_by_id(first.run_id)
    assert run is not None
    stored = json.dumps([dict(run.run_config), dict(run.tags)])
    assert line not in stored
    assert str(tmp_path) not in stored.replace(str(built.root.path), "")

    again = Launcher(built.root, built.instance, graph._definitions, tmp_path / "ran")
    assert again.launch(run.run_config, {HANDED_OVER_TAG: run.tags[HANDED_OVER_TAG]}) == ""
    assert (tmp_path / "ran").read_text().split() == [RELEASE, RELEASE]


def test_two_processes_that_make_the_key_at_once_have_one(tmp_path: Path) -> None:
    root = RuntimeRoot(tmp_path / "root")
    errand, inputs = Errand(job="build_record", partition=RELEASE), HandedOver(build_command="true")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                HandedOverRoom(root).write(errand, inputs)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    documents = sorted(root.handed_over.glob("*.json"))
    assert len(documents) == 1
    assert HandedOverRoom(root).read(documents[0].stem, errand) == inputs
    assert {path.name for path in root.handed_over.iterdir()} == {"key", documents[0].name}
