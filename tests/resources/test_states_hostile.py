"""States on bad ground: files that others made, links, full disks, clocks that are wrong, writers at once."""

import json
import multiprocessing
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import IMAGE_ARTIFACT, StateRef
from hyops_assets.contract.state import record_outputs
from hyops_assets.image.space import NoSpace
from resources.states.store import MAX_BYTES, BadState, Begun, StateStore
from tests.contract.samples import contract

REF = StateRef(IMAGE_ARTIFACT)
GOOD: dict[str, Any] = {
    "module_ref": IMAGE_ARTIFACT,
    "run_id": "one",
    "status": "ok",
    "updated_at": "2026-03-03T00:00:00Z",
    "outputs": {"a": 1},
}


@pytest.fixture
def states(tmp_path: Path) -> StateStore:
    return StateStore(RuntimeRoot(tmp_path / "root"))


def put(states: StateStore, content: bytes) -> Path:
    path = states.path(REF)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def read(states: StateStore) -> dict[str, Any]:
    return json.loads(states.path(REF).read_text())


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """A file size limit stands in for a full disk: the same write fails, with EFBIG instead of ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"status": "archived"}, "status"),
        ({"status": None}, "status"),
        ({"outputs": [1]}, "outputs"),
        ({"outputs": {"a": 1}, "updated_at": "yesterday"}, "updated_at"),
        ({"run_id": 7}, "run_id"),
        ({"dependencies": {"a": 1}}, "dependencies"),
        ({"module_ref": None, "status": "paused"}, "module_ref.*status"),
    ],
    ids=["newer-status", "no-status", "outputs", "time", "run", "dependencies", "two-at-once"],
)
def test_a_state_of_another_schema_is_refused_by_the_names_of_what_is_not_understood(
    states: StateStore, changed: dict[str, Any], named: str
) -> None:
    path = put(states, json.dumps(GOOD | changed).encode())
    with pytest.raises(BadState, match=named) as refusal:
        states.find(REF)
    assert str(path) in refusal.value.message
    with pytest.raises(BadState, match=named):
        states.commit(REF, run_id="two", outputs={"a": 2})


def test_further_keys_of_hybridops_do_not_keep_a_state_from_being_read(states: StateStore) -> None:
    put(states, json.dumps(GOOD | {"input_contract": {"a": [1]}, "profile_ref": "x"}).encode())
    found = states.find(REF)
    assert found is not None
    assert found.outputs == {"a": 1}


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_state_that_was_cut_or_changed_anywhere_is_read_or_refused_in_one_line(
    states: StateStore, data: st.DataObject
) -> None:
    whole = json.dumps(GOOD | {"outputs": record_outputs(contract())}).encode()
    at = data.draw(st.integers(0, len(whole)))
    content = whole[:at] + data.draw(st.sampled_from([b"", b"\0", b"\xff", b"[" * 5000, b"9" * 5000, b'"', b"}"]))
    path = put(states, content + data.draw(st.sampled_from([b"", whole[at:]])))
    before = path.read_bytes()
    try:
        states.find(REF)
    except BadState as error:
        refusal = error.message
    else:
        refusal = ""
    assert "\n" not in refusal
    assert len(refusal) < 2000
    assert path.read_bytes() == before


def test_a_file_that_grows_after_it_was_looked_at_is_not_read_whole(states: StateStore) -> None:
    # A sparse gigabyte: who reads it whole would notice.
    path = put(states, b" ")
    os.truncate(path, 1 << 30)
    with pytest.raises(BadState, match=f"larger than {MAX_BYTES} bytes"):
        states.find(REF)


def test_outputs_that_could_not_be_read_again_are_not_written(states: StateStore) -> None:
    states.commit(REF, run_id="one", outputs={"a": 1})
    with pytest.raises(BadState, match="would be larger than"):
        states.commit(REF, run_id="two", outputs={"a": "x" * MAX_BYTES})
    assert read(states)["run_id"] == "one"


def module_directory(states: StateStore) -> Path:
    return states.path(REF).parent


def instances_directory(states: StateStore) -> Path:
    return states.path(StateRef(IMAGE_ARTIFACT, "x")).parent


@pytest.mark.parametrize(
    ("linked", "ref"),
    [(module_directory, REF), (instances_directory, StateRef(IMAGE_ARTIFACT, "x"))],
    ids=["module", "instances"],
)
def test_a_directory_that_is_a_link_out_of_the_states_is_neither_read_nor_written(
    states: StateStore, tmp_path: Path, linked: Callable[[StateStore], Path], ref: StateRef
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / states.path(ref).name).write_text(json.dumps(GOOD))
    directory = linked(states)
    directory.parent.mkdir(parents=True)
    directory.symlink_to(elsewhere)
    before = {path: path.read_bytes() for path in elsewhere.iterdir()}
    for use in (
        lambda: states.find(ref),
        lambda: states.commit(ref, run_id="two", outputs={"a": 2}),
        lambda: states.begin(ref, Begun("two", "apply", "/evidence"), lab=False),
    ):
        with pytest.raises(BadState, match="leads out of"):
            use()
    assert {path: path.read_bytes() for path in elsewhere.iterdir()} == before


def test_a_runtime_root_on_another_disk_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    states = StateStore(RuntimeRoot(tmp_path / "root"))
    states.commit(REF, run_id="one", outputs={"a": 1})
    assert states.find(REF) is not None
    assert (tmp_path / "disk/state/modules/core__shared__vyos-image-artifact/latest.json").is_file()


def test_a_link_in_the_place_of_a_half_written_state_does_not_empty_what_it_leads_to(
    states: StateStore, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    path = put(states, json.dumps(GOOD).encode())
    path.with_name(f"{path.name}.partial").symlink_to(precious)
    with pytest.raises(OSError, match=r"latest\.json\.partial"):
        states.commit(REF, run_id="two", outputs={"a": 2})
    assert precious.read_text() == "kept"
    assert read(states) == GOOD


@pytest.mark.parametrize("step", ["begin", "commit", "fail"])
def test_a_full_disk_leaves_the_state_as_it_was_and_a_later_run_goes_on(states: StateStore, step: str) -> None:
    states.commit(REF, run_id="one", outputs={"a": "x" * 2000})
    if step != "begin":
        states.begin(REF, Begun("two", "apply", "/evidence"), lab=False)
    before = states.path(REF).read_bytes()
    steps: dict[str, Callable[[], object]] = {
        "begin": lambda: states.begin(REF, Begun("two", "apply", "/evidence"), lab=False),
        "commit": lambda: states.commit(REF, run_id="two", outputs={"a": "y" * 2000}),
        "fail": lambda: states.fail(REF, run_id="two", error="wrong"),
    }
    with no_file_larger_than(1000), pytest.raises(NoSpace, match="File too large") as full:
        steps[step]()
    assert full.value.hint
    assert states.path(REF).read_bytes() == before
    assert [path.name for path in states.path(REF).parent.iterdir() if ".partial" in path.name] == []
    states.begin(REF, Begun("three", "apply", "/evidence"), lab=False)
    assert states.commit(REF, run_id="three", outputs={"a": "z"})


def test_a_state_of_a_clock_that_runs_ahead_is_replaced_like_any_other(states: StateStore) -> None:
    ahead = datetime(2099, 1, 1, tzinfo=UTC)
    put(states, json.dumps(GOOD | {"updated_at": f"{ahead:%Y-%m-%dT%H:%M:%SZ}"}).encode())
    found = states.find(REF)
    assert found is not None
    assert found.updated_at == ahead
    assert states.commit(REF, run_id="two", outputs={"a": 2})
    assert (read(states)["run_id"], read(states)["outputs"]) == ("two", {"a": 2})
    assert read(states)["updated_at"] < "2099"


def commit_begun(root: Path, name: str) -> bool:
    """Run once from begin to commit."""
    states = StateStore(RuntimeRoot(root))
    states.begin(REF, Begun(name, "apply", f"/evidence/{name}"), lab=False)
    return states.commit(REF, run_id=name, outputs={"writer": name, "text": name * 1000})


@pytest.mark.seconds
def test_of_runs_at_once_one_state_stays_and_it_is_whole(tmp_path: Path) -> None:
    names = [f"run-{number}" for number in range(8)]
    with multiprocessing.get_context("fork").Pool(8) as writers:
        writers.starmap(commit_begun, [(tmp_path, name) for name in names])
        # Not by SIGTERM, which leaving the block would send: who runs this may have had it ignored.
        writers.close()
        writers.join()
    states = StateStore(RuntimeRoot(tmp_path))
    found = read(states)
    winner = found["outputs"]["writer"]
    assert winner in names
    assert found["outputs"] == {"writer": winner, "text": winner * 1000}
    assert (found["status"], found["run_id"], found["output_count"]) == ("ok", winner, 2)


def jq(query: str, path: Path) -> Any:
    ran = subprocess.run(["jq", "-ce", query, path], check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def test_a_consumer_that_knows_only_artifact_names_finds_url_sha256_and_version(states: StateStore) -> None:
    """What HybridOps' own modules do with a state's path, and nothing of ours."""
    published = contract()
    states.commit(REF, run_id="one", outputs=record_outputs(published))
    record, path = published.record, states.path(REF)
    qcow2 = [published.urls["qcow2"], record.variants["qcow2"].sha256, record.version]
    flat = 'select(.status == "ok") | .outputs | [.artifact_url, .artifact_sha256, .artifact_version]'
    assert jq(flat, path) == qcow2
    by_key = (
        f'.outputs.artifacts["{record.key}"]'
        " | [.artifact_url // .url, .artifact_sha256 // .sha256, .artifact_version // .version]"
    )
    assert jq(by_key, path) == qcow2
    assert jq('.outputs.artifact_variants["raw.xz"] | [.url, .sha256]', path) == [
        published.urls["raw.xz"],
        record.variants["raw.xz"].sha256,
    ]
    assert jq("[.outputs.artifact_key, .outputs.artifact_format]", path) == [record.key, "qcow2"]


def test_every_refusal_says_what_to_do_next(states: StateStore) -> None:
    for content in (b"", b"{}", b"[]", json.dumps(GOOD | {"status": "x"}).encode()):
        put(states, content)
        with pytest.raises(HyopsError) as refusal:
            states.find(REF)
        assert IMAGE_ARTIFACT in refusal.value.hint
