import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import hyops_assets.image.atomic_write
import resources.settings
import resources.states.store
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import Outputs, record_outputs
from resources.states.store import MAX_BYTES, BadState, Begun, StateBusy, StateStore
from tests.contract.samples import contract
from tests.killing import killed_at_each_line, kills

pytestmark = pytest.mark.seconds

BUILD = StateRef("core/shared/vyos-image-build", "vyos_default_build")


@pytest.fixture
def root(tmp_path: Path) -> RuntimeRoot:
    return RuntimeRoot(tmp_path / "root")


@pytest.fixture
def states(root: RuntimeRoot) -> StateStore:
    return StateStore(root)


def real() -> Outputs:
    return record_outputs(contract())


def of_a_lab() -> Outputs:
    return record_outputs(contract(lab=True))


def payload(states: StateStore) -> dict[str, Any]:
    return json.loads(states.path(BUILD).read_text())


def spoil(states: StateStore, content: bytes) -> Path:
    """Put something else where the state lies."""
    states.commit(BUILD, run_id="one", outputs=real())
    path = states.path(BUILD)
    path.write_bytes(content)
    return path


def test_a_state_lies_where_the_document_looks_for_it_and_only_its_owner_reads_it(
    root: RuntimeRoot, states: StateStore
) -> None:
    assert states.commit(BUILD, run_id="one", outputs=real())
    path = root.path / "state/modules/core__shared__vyos-image-build/instances/vyos_default_build.json"
    assert path.stat().st_mode & 0o777 == 0o600
    for directory in (path.parent, path.parent.parent, root.states, root.path):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_the_payload_says_ok_with_its_outputs_and_their_number(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    found = payload(states)
    assert (found["status"], found["run_id"], found["state_instance"]) == ("ok", "one", "vyos_default_build")
    assert found["outputs"] == json.loads(json.dumps(real()))
    assert found["output_count"] == len(found["outputs"])
    assert found["evidence_dir"].endswith("/logs/module/core__shared__vyos-image-build/one")


def test_keys_are_sorted_and_an_output_that_is_null_stays(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs={"b": None, "a": 1})
    text = states.path(BUILD).read_text()
    assert list(payload(states)) == sorted(payload(states))
    assert payload(states)["outputs"] == {"a": 1, "b": None}
    assert text.endswith("}\n")


def test_no_state_is_none_and_nothing_is_created(root: RuntimeRoot, states: StateStore) -> None:
    assert states.find(BUILD) is None
    assert not root.path.exists()


def test_a_written_state_is_found(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    found = states.find(BUILD)
    assert found is not None
    assert found.outputs["record_version"] == contract().record.version


def test_equal_outputs_leave_the_file_as_it_is_whichever_run_wrote_it(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    before = states.path(BUILD).read_bytes(), states.path(BUILD).stat().st_mtime_ns
    assert not states.commit(BUILD, run_id="two", outputs=real())
    assert (states.path(BUILD).read_bytes(), states.path(BUILD).stat().st_mtime_ns) == before


def test_a_seed_that_adopts_does_not_take_back_that_it_seeded_once(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs={"image_seeded": True, "image_ref": "1"})
    assert not states.commit(BUILD, run_id="two", outputs={"image_seeded": False, "image_ref": "1"})
    assert payload(states)["outputs"]["image_seeded"] is True


def test_other_outputs_replace_the_state(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    assert states.commit(BUILD, run_id="two", outputs=real() | {"disk_sha256": "0" * 64})
    assert payload(states)["run_id"] == "two"


def test_equal_outputs_of_a_state_that_is_not_ok_are_written(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    states.path(BUILD).write_text(json.dumps(payload(states) | {"status": "error"}))
    assert states.commit(BUILD, run_id="two", outputs=real())
    assert payload(states)["status"] == "ok"


def test_a_lab_does_not_overwrite_a_real_state(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    before = states.path(BUILD).read_bytes()
    with pytest.raises(Refused, match="no lab wrote"):
        states.commit(BUILD, run_id="two", outputs=of_a_lab())
    assert states.path(BUILD).read_bytes() == before


def test_a_lab_overwrites_its_own_state_and_a_real_one_takes_its_place(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=of_a_lab())
    assert states.commit(BUILD, run_id="two", outputs=of_a_lab() | {"disk_sha256": "0" * 64})
    assert states.commit(BUILD, run_id="three", outputs=real())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no module state"),
        (b'{"module_ref": "core/sh', "no module state"),
        (b"\xff\xfe\x00garbage", "no module state"),
        (b"[]", "no module state"),
        (b'{"module_ref": "x", "run_id": "y", "updated_at": "2026-03-03T00:00:00Z", "status": "fine"}', "status"),
        (b" " * (MAX_BYTES + 1), "larger than"),
    ],
    ids=["empty", "truncated", "garbage", "a-list", "unknown-status", "huge"],
)
def test_a_file_that_is_no_state_is_named_and_neither_read_nor_overwritten(
    states: StateStore, content: bytes, why: str
) -> None:
    path = spoil(states, content)
    for use in (lambda: states.find(BUILD), lambda: states.commit(BUILD, run_id="two", outputs=real())):
        with pytest.raises(BadState, match=why) as caught:
            use()
        assert str(path) in caught.value.message
        assert "\n" not in caught.value.message
    assert path.read_bytes() == content


def a_link(path: Path) -> None:
    path.with_name("elsewhere").write_text(path.read_text())
    path.unlink()
    path.symlink_to("elsewhere")


def a_link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("put", [a_link, a_link_to_nowhere, a_directory, a_pipe])
def test_what_is_no_regular_file_is_refused_and_stays(states: StateStore, put: Callable[[Path], None]) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    path = states.path(BUILD)
    put(path)
    before = path.lstat()
    with pytest.raises(BadState, match="no regular file"):
        states.find(BUILD)
    with pytest.raises(BadState, match="no regular file"):
        states.commit(BUILD, run_id="two", outputs=real())
    assert os.path.samestat(path.lstat(), before)


@kills(some=7)
def test_a_write_killed_at_any_line_leaves_the_former_state_or_the_new_one(states: StateStore, every: int) -> None:
    former, new = real(), real() | {"disk_sha256": "0" * 64}
    states.commit(BUILD, run_id="former", outputs=former)
    seen = set()
    for _ in killed_at_each_line(
        lambda: states.commit(BUILD, run_id="new", outputs=new),
        resources.states.store,
        resources.settings,
        hyops_assets.image.atomic_write,
        every=every,
    ):
        seen.add(payload(states)["run_id"])
        states.commit(BUILD, run_id="again", outputs=new)
        assert sorted(path.name for path in states.path(BUILD).parent.iterdir() if path.suffix != ".lock") == [
            states.path(BUILD).name
        ]
        states.commit(BUILD, run_id="former", outputs=former)
    # Of every 7th line, whether one lies behind the rename is chance.
    assert seen == {"former", "new"} if every == 1 else "former" in seen
    assert payload(states)["run_id"] == "new"


def test_two_writers_at_once_leave_one_whole_state(root: RuntimeRoot, states: StateStore) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from hyops_assets.contract.layout import RuntimeRoot; from hyops_assets.contract.references import StateRef\n"
        "from resources.states.store import StateStore\n"
        f"ref = StateRef.parse({str(BUILD)!r})\n"
        "sys.stdin.readline()\n"
        "for turn in range(20):\n"
        "    outputs = {'x': sys.argv[2] * turn}\n"
        "    StateStore(RuntimeRoot(Path(sys.argv[1]))).commit(ref, run_id=sys.argv[2], outputs=outputs)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, root.path, name], stdin=subprocess.PIPE) for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert payload(states)["outputs"]["x"] in ("a" * 19, "b" * 19)


def test_a_writer_that_does_not_end_is_an_error_and_not_a_wait_for_ever(root: RuntimeRoot) -> None:
    states = StateStore(root, patience_seconds=0.01)
    states.commit(BUILD, run_id="one", outputs=real())
    path = states.path(BUILD)
    with (
        FileLock(path.with_name(f".{path.name}.lock")),
        pytest.raises(StateBusy, match=r"vyos_default_build\.json"),
    ):
        states.commit(BUILD, run_id="two", outputs=real())


def test_a_state_that_anyone_may_write_is_not_believed(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    states.path(BUILD).chmod(0o666)
    with pytest.raises(BadState, match="written by anyone"):
        states.find(BUILD)


BEGUN = Begun("apply-1", "apply", "/evidence", ("hetzner",), "/rerun.yml", "/resolved.yml")


def test_a_begun_state_is_running_and_keeps_its_outputs(states: StateStore) -> None:
    states.commit(BUILD, run_id="former", outputs=real())
    states.begin(BUILD, BEGUN, lab=False)
    found = payload(states)
    assert (found["status"], found["run_id"], found["active_command"]) == ("running", "apply-1", "apply")
    assert found["outputs"] == json.loads(json.dumps(real()))
    assert (found["evidence_dir"], found["requirements"]) == ("/evidence", {"credentials": ["hetzner"]})
    assert (found["rerun_inputs_file"], found["resolved_inputs_file"]) == ("/rerun.yml", "/resolved.yml")


def test_the_commit_of_the_run_that_began_it_keeps_what_the_run_noted(states: StateStore) -> None:
    states.begin(BUILD, BEGUN, lab=False)
    assert states.commit(BUILD, run_id="apply-1", outputs=real())
    found = payload(states)
    assert (found["status"], found["evidence_dir"]) == ("ok", "/evidence")
    assert found["output_count"] == len(real())
    assert not {"active_command", "before"} & set(found)


def test_a_repetition_says_that_nothing_but_the_run_changed(states: StateStore) -> None:
    states.commit(BUILD, run_id="former", outputs=real())
    states.begin(BUILD, BEGUN, lab=False)
    assert not states.commit(BUILD, run_id="apply-1", outputs=real())
    assert (payload(states)["status"], payload(states)["run_id"]) == ("ok", "apply-1")


def test_a_failed_run_leaves_the_former_outputs_and_says_why(states: StateStore) -> None:
    states.commit(BUILD, run_id="former", outputs=real())
    states.begin(BUILD, BEGUN, lab=False)
    assert states.fail(BUILD, run_id="apply-1", error="no room")
    found = payload(states)
    assert (found["status"], found["last_error"], found["failed_command"]) == ("error", "no room", "apply")
    assert found["outputs"] == json.loads(json.dumps(real()))
    states.begin(BUILD, BEGUN, lab=False)
    states.commit(BUILD, run_id="apply-1", outputs=real())
    assert "last_error" not in payload(states)


def test_a_withdrawn_state_is_what_it_was(states: StateStore) -> None:
    states.commit(BUILD, run_id="former", outputs=real() | {"nothing": None})
    before = states.path(BUILD).read_bytes()
    states.begin(BUILD, BEGUN, lab=False)
    assert states.withdraw(BUILD, run_id="apply-1")
    assert states.path(BUILD).read_bytes() == before


def test_what_killed_or_overtaken_runs_had_begun_is_not_what_a_state_was(states: StateStore) -> None:
    states.commit(BUILD, run_id="former", outputs=real())
    before = states.path(BUILD).read_bytes()
    for run in ("apply-1", "apply-2", "apply-3"):
        states.begin(BUILD, Begun(run, "apply", "/evidence"), lab=False)
    assert not states.withdraw(BUILD, run_id="apply-2")
    assert states.withdraw(BUILD, run_id="apply-3")
    assert states.path(BUILD).read_bytes() == before


def test_a_state_that_only_killed_runs_began_is_gone_when_one_withdraws(states: StateStore) -> None:
    states.begin(BUILD, BEGUN, lab=False)
    states.begin(BUILD, Begun("apply-2", "apply", "/evidence"), lab=False)
    assert states.withdraw(BUILD, run_id="apply-2")
    assert states.find(BUILD) is None


def test_a_withdrawn_state_that_was_not_there_is_gone(states: StateStore) -> None:
    states.begin(BUILD, BEGUN, lab=False)
    assert states.withdraw(BUILD, run_id="apply-1")
    assert states.find(BUILD) is None


def test_a_run_that_another_one_overtook_ends_nothing(states: StateStore) -> None:
    states.begin(BUILD, BEGUN, lab=False)
    states.begin(BUILD, Begun("apply-2", "apply", "/other"), lab=False)
    assert not states.fail(BUILD, run_id="apply-1", error="late")
    assert not states.withdraw(BUILD, run_id="apply-1")
    assert (payload(states)["status"], payload(states)["run_id"]) == ("running", "apply-2")


def test_a_lab_begins_no_state_that_it_did_not_write(states: StateStore) -> None:
    states.commit(BUILD, run_id="one", outputs=real())
    before = states.path(BUILD).read_bytes()
    with pytest.raises(Refused, match="no lab wrote"):
        states.begin(BUILD, BEGUN, lab=True)
    assert states.path(BUILD).read_bytes() == before


@kills(some=7)
def test_a_begin_killed_at_any_line_leaves_outputs_and_is_begun_again(states: StateStore, every: int) -> None:
    states.commit(BUILD, run_id="former", outputs=real())
    seen = set()
    for _ in killed_at_each_line(
        lambda: states.begin(BUILD, BEGUN, lab=False),
        resources.states.store,
        resources.settings,
        hyops_assets.image.atomic_write,
        every=every,
    ):
        found = payload(states)
        seen.add(found["status"])
        assert found["outputs"] == json.loads(json.dumps(real()))
        states.begin(BUILD, BEGUN, lab=False)
        states.commit(BUILD, run_id="apply-1", outputs=real())
    assert seen == {"ok", "running"} if every == 1 else "ok" in seen


def test_every_state_of_an_environment_is_listed_by_its_reference(states: StateStore) -> None:
    assert states.list() == []
    other = StateRef("core/hetzner/vyos-image-seed")
    for ref in (BUILD, other):
        states.commit(ref, run_id="one", outputs=real())
    assert [str(ref) for ref, _ in states.list()] == [str(other), str(BUILD)]
