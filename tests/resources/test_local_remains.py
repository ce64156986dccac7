"""Scratch and staging on this host: removed where no process uses them, and only then."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from resources.artifacts import scratch
from resources.artifacts.scratch import scratch_below
from resources.artifacts.store import ArtifactStore
from resources.local_remains import IDLE_SECONDS, LocalRemains

TraceFunction = Callable[[FrameType, str, Any], Any]


def long_after() -> float:
    return time.time() + IDLE_SECONDS + 60


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    directory = tmp_path / "hyops-hetzner-seed"
    (directory / "served").mkdir(parents=True)
    (directory / "served" / "wrapped-vyos.raw.xz").write_bytes(b"x" * 100)
    return directory


def remains(store: ArtifactStore, staging: Path) -> LocalRemains:
    return LocalRemains(store, clock=long_after, staging=staging)


def killed_scratch(store: ArtifactStore) -> Path:
    """A scratch directory whose process is gone."""
    path = store.directory / "scratch" / "build-killed"
    path.mkdir(parents=True)
    (path / "disk.raw").write_bytes(b"x")
    return path


def test_scratch_that_no_process_holds_is_removed_and_other_scratch_is_not(
    store: ArtifactStore, tmp_path: Path
) -> None:
    with store.scratch("gate") as held:
        left = killed_scratch(store)
        (planned,) = remains(store, tmp_path / "none").find()
        assert (planned.what, planned.verdict, left.exists()) == ("scratch build-killed", "remove", True)

        (done,) = remains(store, tmp_path / "none").reap()

        assert (done.verdict, left.exists(), held.exists()) == ("removed", False, True)


def test_scratch_that_could_not_be_removed_is_not_reported_as_removed(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root, which may run this, removes anything.
    monkeypatch.setattr(scratch.shutil, "rmtree", lambda path, **options: None)
    left = killed_scratch(store)

    (done,) = remains(store, tmp_path / "none").reap()

    assert (done.verdict, left.exists()) == ("failed", True)


def test_a_host_without_remains_has_no_findings(store: ArtifactStore, tmp_path: Path) -> None:
    assert remains(store, tmp_path / "none").find() == []
    assert remains(store, tmp_path / "none").reap() == []
    assert not store.directory.exists()


def test_staging_that_no_process_uses_is_removed(store: ArtifactStore, staging: Path) -> None:
    assert [finding.verdict for finding in remains(store, staging).find()] == ["remove"]
    assert staging.exists()
    assert [finding.verdict for finding in remains(store, staging).reap()] == ["removed"]
    assert not staging.exists()


def vanishing_at(line: int, staging: Path) -> tuple[TraceFunction, list[int]]:
    """Return a trace function that removes the staging at the nth line of the code that looks at it."""
    seen: list[int] = []

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        # Who has it open is asked of /proc, line by line, for every process of the host.
        if not frame.f_code.co_filename.endswith("local_remains.py") or "_users" in frame.f_code.co_name:
            return None
        if event == "line":
            seen.append(frame.f_lineno)
            if len(seen) == line:
                # It may be gone already: the last lines come after its removal.
                shutil.rmtree(staging, ignore_errors=True)
        return trace

    return trace, seen


@pytest.mark.seconds
def test_staging_that_its_wrapper_removes_at_any_moment_is_no_error(store: ArtifactStore, tmp_path: Path) -> None:
    for line in itertools.count(1):
        directory = tmp_path / f"staging-{line}"
        (directory / "served").mkdir(parents=True)
        (directory / "served" / "wrapped.raw.xz").write_bytes(b"x")
        trace, seen = vanishing_at(line, directory)
        # The debugger's or the coverage's own one is put back.
        former = sys.gettrace()
        sys.settrace(trace)
        try:
            found = remains(store, directory).reap()
        finally:
            sys.settrace(former)
        assert [one.verdict for one in found] in ([], ["keep"], ["removed"]), (line, found)
        if len(seen) < line:
            assert line > 10
            return
        assert not directory.exists()


def test_staging_that_was_changed_a_moment_ago_stays(store: ArtifactStore, staging: Path) -> None:
    (finding,) = LocalRemains(store, clock=time.time, staging=staging).reap()
    assert (finding.verdict, staging.exists()) == ("keep", True)


@pytest.mark.parametrize("use", ["an open file", "a working directory"])
def test_staging_that_a_process_uses_stays(store: ArtifactStore, staging: Path, use: str) -> None:
    file = staging / "served" / "wrapped-vyos.raw.xz"
    program = f"f = open({str(file)!r})" if use == "an open file" else ""
    ready = f"{program}\nprint('ready', flush=True)\ninput()"
    where = staging / "served" if use == "a working directory" else staging.parent
    with subprocess.Popen(
        [sys.executable, "-c", ready], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=where
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        (finding,) = remains(store, staging).reap()
        server.kill()
    assert (finding.verdict, finding.why) == ("keep", f"process {server.pid} has something open in it")
    assert file.exists()


def test_staging_in_which_a_run_holds_scratch_stays(store: ArtifactStore, staging: Path) -> None:
    with scratch_below(staging, "wrap"):
        # Where nothing of that process shows in /proc, its lock does: here this process' own, with nothing else open.
        (finding,) = remains(store, staging).reap()
    assert (finding.verdict, finding.why, staging.exists()) == ("keep", "a run holds scratch in it", True)


def test_a_link_in_the_place_of_staging_is_not_followed(store: ArtifactStore, staging: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(staging)
    (finding,) = remains(store, link).reap()
    assert (finding.verdict, staging.exists(), link.is_symlink()) == ("by hand", True, True)


def test_a_link_inside_of_staging_is_removed_and_what_it_leads_to_is_not(
    store: ArtifactStore, staging: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("kept")
    (staging / "way out").symlink_to(elsewhere)
    assert [finding.verdict for finding in remains(store, staging).reap()] == ["removed"]
    assert (elsewhere / "file").read_text() == "kept"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_staging_of_another_user_stays(store: ArtifactStore, staging: Path) -> None:
    os.chown(staging, 12345, 12345)
    (finding,) = remains(store, staging).reap()
    assert (finding.verdict, staging.exists()) == ("by hand", True)
