import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

import hyops_assets.image.atomic_write
import resources.artifacts.store
import resources.settings
from resources.artifacts.store import ArtifactStore, MissingArtifact, RottenArtifact, StoreBusy
from tests.killing import killed_at_each_line

CONTENT = b"a disk"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Note(BaseModel):
    text: str


class LongerNote(Note):
    author: str


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def adopted(store: ArtifactStore, directory: Path) -> Path:
    file = directory / "file"
    file.write_bytes(CONTENT)
    return store.adopt(file, sha256=SHA256)


def files_in(store: ArtifactStore) -> list[str]:
    return sorted(path.name for path in store.directory.rglob("*") if path.is_file() and path.suffix != ".lock")


def holder(store: ArtifactStore, what: str) -> subprocess.Popen[bytes]:
    """Another process that entered a block of the store and stays in it."""
    code = (
        "import sys; from pathlib import Path; from resources.artifacts.store import ArtifactStore\n"
        f"with ArtifactStore(Path(sys.argv[1])).{what} as held:\n"
        "    (held / 'half').write_bytes(b'half') if held else None\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, store.directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_an_adopted_file_is_found_by_its_digest_and_cannot_be_written(store: ArtifactStore, tmp_path: Path) -> None:
    blob = adopted(store, tmp_path)
    assert store.blob(SHA256) == blob == store.blob_path(SHA256)
    assert blob.read_bytes() == CONTENT
    assert blob.stat().st_mode & 0o777 == 0o400
    assert not (tmp_path / "file").exists()


def test_adopting_the_same_bytes_twice_keeps_one_blob(store: ArtifactStore, tmp_path: Path) -> None:
    assert adopted(store, tmp_path) == adopted(store, tmp_path)
    assert files_in(store) == [SHA256]


def test_an_absent_blob_is_missing(store: ArtifactStore) -> None:
    assert not store.has_blob(SHA256)
    with pytest.raises(MissingArtifact, match=SHA256):
        store.blob(SHA256)


def test_a_rotten_blob_is_named_and_taken_out_of_the_store(store: ArtifactStore, tmp_path: Path) -> None:
    blob = adopted(store, tmp_path)
    blob.chmod(0o600)
    blob.write_bytes(b"rotten")
    with pytest.raises(RottenArtifact, match=hashlib.sha256(b"rotten").hexdigest()):
        store.blob(SHA256)
    assert files_in(store) == []


def test_a_rotten_blob_does_not_count_as_held_and_sound_bytes_take_its_place(
    store: ArtifactStore, tmp_path: Path
) -> None:
    blob = adopted(store, tmp_path)
    blob.chmod(0o600)
    blob.write_bytes(b"rotten")
    assert adopted(store, tmp_path).read_bytes() == CONTENT
    assert store.has_blob(SHA256)


def test_a_document_is_read_back_and_private(store: ArtifactStore) -> None:
    path = store.write_document("notes", "lab|2026.03.03-0027-rolling", Note(text="…"))
    assert store.read_document("notes", "lab|2026.03.03-0027-rolling", Note) == Note(text="…")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../../escape", "a/b", "..", "lab|x"])
def test_no_partition_key_leads_out_of_its_directory(store: ArtifactStore, name: str) -> None:
    path = store.write_document("notes", name, Note(text=name))
    assert path.resolve().parent == (store.directory / "documents" / "notes").resolve()
    assert store.read_document("notes", name, Note).text == name


def test_an_absent_document_is_missing_and_the_error_names_the_asset(store: ArtifactStore) -> None:
    assert store.find_document("notes", "x", Note) is None
    with pytest.raises(MissingArtifact, match="materialize notes for x"):
        store.read_document("notes", "x", Note)


@pytest.mark.parametrize("content", [b"", b'{"text": "ha', b"\xff\xfe", b'{"other": 1}', b"[]"])
def test_a_document_of_another_shape_counts_as_none(store: ArtifactStore, content: bytes) -> None:
    store.write_document("notes", "x", Note(text="old")).write_bytes(content)
    assert store.find_document("notes", "x", Note) is None


def test_an_older_programs_document_counts_as_none(store: ArtifactStore) -> None:
    store.write_document("notes", "x", Note(text="old"))
    assert store.find_document("notes", "x", LongerNote) is None


def test_documents_are_listed_over_the_kinds_below_one(store: ArtifactStore) -> None:
    store.write_document("gates/b", "one", Note(text="b one"))
    store.write_document("gates/a", "one", Note(text="a one"))
    store.write_document("gates/a", "two", Note(text="a two"))
    assert [note.text for note in store.list_documents("gates", {"one"}, Note)] == ["a one", "b one"]
    assert store.list_documents("nothing", {"one"}, Note) == []


@pytest.mark.seconds
def test_a_write_killed_at_any_line_leaves_the_old_document_or_the_new_one(store: ArtifactStore) -> None:
    old, new = Note(text="old"), Note(text="new")
    store.write_document("notes", "x", old)
    seen = set()
    for _ in killed_at_each_line(
        lambda: store.write_document("notes", "x", new),
        resources.artifacts.store,
        resources.settings,
        hyops_assets.image.atomic_write,
    ):
        seen.add(store.read_document("notes", "x", Note).text)
        store.write_document("notes", "x", old)
        assert files_in(store) == ["x.json"]
    assert seen == {"old", "new"}
    assert store.read_document("notes", "x", Note) == new


def test_an_adoption_killed_at_any_line_leaves_a_whole_blob_or_none(store: ArtifactStore, tmp_path: Path) -> None:
    for _ in killed_at_each_line(lambda: adopted(store, tmp_path), resources.artifacts.store):
        assert not store.blob_path(SHA256).exists() or store.blob(SHA256)
    assert store.has_blob(SHA256)


def test_scratch_is_empty_at_first_and_gone_at_the_end(store: ArtifactStore) -> None:
    with store.scratch("build") as scratch:
        assert list(scratch.iterdir()) == []
        (scratch / "disk.raw").write_bytes(CONTENT)
        (scratch / "below").mkdir()
    assert list((store.directory / "scratch").iterdir()) == []


def test_scratch_is_gone_after_an_error_too(store: ArtifactStore) -> None:
    with pytest.raises(ZeroDivisionError), store.scratch("build"):
        raise ZeroDivisionError
    assert list((store.directory / "scratch").iterdir()) == []


def test_scratch_of_living_processes_stays_and_that_of_killed_ones_is_swept(store: ArtifactStore) -> None:
    living = holder(store, "scratch('living')")
    killed = holder(store, "scratch('killed')")
    kill(killed)
    try:
        with store.scratch("mine") as mine:
            left = sorted(path.name.split("-")[0] for path in mine.parent.iterdir())
            assert left == ["living", "mine"]
    finally:
        kill(living)
    with store.scratch("mine") as mine:
        assert list(mine.parent.iterdir()) == [mine]


def test_two_scratches_of_one_process_do_not_sweep_each_other(store: ArtifactStore) -> None:
    with store.scratch("outer") as outer, store.scratch("inner") as inner:
        assert outer.is_dir()
        assert inner.is_dir()
        assert outer != inner


def test_a_scratch_killed_at_any_line_is_swept_by_the_next(store: ArtifactStore) -> None:
    def work() -> None:
        with store.scratch("build") as scratch:
            (scratch / "disk.raw").write_bytes(CONTENT)

    for _ in killed_at_each_line(work, resources.artifacts.store):
        with store.scratch("next") as mine:
            assert list(mine.parent.iterdir()) == [mine]


def test_a_lock_keeps_another_process_out_and_names_what_is_locked(store: ArtifactStore) -> None:
    other = holder(store, "lock('publish vyos-1.5')")
    try:
        with pytest.raises(StoreBusy, match=r"publish vyos-1\.5"), store.lock("publish vyos-1.5"):
            pass
        with store.lock("another name"):
            pass
    finally:
        kill(other)


def test_a_lock_of_a_killed_process_is_free(store: ArtifactStore) -> None:
    kill(holder(store, "lock('publish')"))
    with store.lock("publish"):
        pass


def test_a_lock_is_free_after_an_error(store: ArtifactStore) -> None:
    with pytest.raises(ZeroDivisionError), store.lock("publish"):
        raise ZeroDivisionError
    with store.lock("publish"):
        pass


def test_a_wait_that_ran_out_inside_a_lock_keeps_its_own_name(store: ArtifactStore) -> None:
    with pytest.raises(StoreBusy, match="inner"), store.lock("outer"), store.lock("inner"), store.lock("inner"):
        pass
