import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
import stat
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from hyops_assets.contract.errors import Refused, TransientError
from hyops_assets.image.space import NoSpace
from hyops_lab.authority import Authority
from hyops_lab.objects import ObjectServer
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.answers import Unreachable, Untrusted
from resources.buckets import create_only
from resources.buckets import directory as directory_bucket
from resources.buckets.create_only import DigestMismatch
from resources.buckets.names import BadObjectName
from resources.public_http import NotAllowed
from resources.repository import directory
from resources.repository.base import ObjectConflict, ObjectMissing, Published, RepositoryFailed
from resources.repository.directory import DirectoryRepository
from resources.repository.marker import MARKER_NAMES, MarkerNamesTaken, find_marker
from tests.killing import killed_at_each_line, kills
from tests.resources.redirecting import Redirecting

pytestmark = pytest.mark.seconds

NAME = "network/vyos/vyos-1.5-2026.03.03-0027-rolling.qcow2"
BYTES = b"disk" * 1000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def publish(repository: DirectoryRepository, content: bytes = BYTES, name: str = NAME) -> Published:
    return repository.create(
        name, content, sha256=sha256(content), content_type="application/octet-stream", metadata={"record": "a"}
    )


@pytest.fixture
def repository(tmp_path: Path) -> DirectoryRepository:
    return DirectoryRepository(tmp_path / "objects")


def visible(repository: DirectoryRepository) -> list[str]:
    return sorted(path.name for path in repository.directory.rglob("*") if path.is_file())


def test_an_object_is_created_once_and_then_adopted(repository: DirectoryRepository):
    first, second = publish(repository), publish(repository)
    assert (first.outcome, first.size_bytes, first.bytes_sent) == ("created", 4000, 4000)
    assert (second.outcome, second.size_bytes, second.bytes_sent) == ("adopted", 4000, 0)
    assert first.url == second.url == (repository.directory / NAME).as_uri()


def test_adopting_changes_nothing_on_the_disk(repository: DirectoryRepository):
    publish(repository)
    before = {path: path.stat().st_mtime_ns for path in repository.directory.rglob("*")}
    publish(repository)
    assert {path: path.stat().st_mtime_ns for path in repository.directory.rglob("*")} == before


def test_a_name_taken_by_other_bytes_is_a_conflict_that_names_the_way_out(repository: DirectoryRepository):
    publish(repository)
    with pytest.raises(ObjectConflict, match=r"make a revision.*-r2") as caught:
        publish(repository, b"other")
    assert sha256(BYTES) in str(caught.value)
    assert sha256(b"other") in str(caught.value)
    assert (repository.directory / NAME).read_bytes() == BYTES


def test_bytes_that_are_not_the_promised_ones_are_not_published(repository: DirectoryRepository, tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(b"changed since")
    with pytest.raises(DigestMismatch, match=str(source)):
        repository.create(NAME, source, sha256=sha256(BYTES), content_type="x", metadata={})
    assert visible(repository) == []


def test_files_are_readable_by_all_whatever_the_umask(repository: DirectoryRepository):
    before = os.umask(0o077)
    try:
        publish(repository)
    finally:
        os.umask(before)
    assert stat.S_IMODE((repository.directory / NAME).stat().st_mode) == 0o644
    assert stat.S_IMODE((repository.directory / "network").stat().st_mode) == 0o755
    assert stat.S_IMODE(repository.directory.stat().st_mode) == 0o755


def test_what_is_above_the_repository_stays_private(tmp_path: Path):
    publish(DirectoryRepository(tmp_path / "root" / "work" / "repository"))
    assert stat.S_IMODE((tmp_path / "root" / "work").stat().st_mode) == 0o700


def test_head_tells_what_the_creator_noted(repository: DirectoryRepository):
    assert repository.head(NAME) is None
    publish(repository)
    facts = repository.head(NAME)
    assert facts is not None
    assert (facts.size_bytes, facts.sha256, dict(facts.metadata)) == (4000, sha256(BYTES), {"record": "a"})


def test_head_of_an_object_put_there_by_hand_claims_no_digest(repository: DirectoryRepository):
    path = repository.directory / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(BYTES)
    facts = repository.head(NAME)
    assert facts is not None
    assert facts.sha256 is None
    assert publish(repository).outcome == "adopted"
    noted = repository.head(NAME)
    assert noted is not None
    assert noted.sha256 == sha256(BYTES)


def test_facts_that_cannot_be_read_are_an_error_and_not_an_absence(repository: DirectoryRepository):
    publish(repository)
    (repository.directory / NAME).with_name(f".{Path(NAME).name}.facts.json").write_text("{}")
    with pytest.raises(RepositoryFailed, match="remove it"):
        repository.head(NAME)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a/../b", "a//b", ".hidden", "a/.b", "a b", "a\n", "ä", "a/"])
def test_a_name_that_leads_elsewhere_is_refused(repository: DirectoryRepository, name: str):
    with pytest.raises(BadObjectName):
        publish(repository, name=name)


def test_names_are_listed_by_prefix_without_what_is_hidden(repository: DirectoryRepository):
    publish(repository, name="network/vyos/b")
    publish(repository, name="network/vyos/a")
    publish(repository, name="other")
    assert repository.list("network/") == ["network/vyos/a", "network/vyos/b"]
    assert repository.list("") == ["network/vyos/a", "network/vyos/b", "other"]
    assert DirectoryRepository(repository.directory / "absent").list("") == []


def contend(directory: Path, content: bytes) -> str:
    try:
        return publish(DirectoryRepository(directory), content).outcome
    except ObjectConflict:
        return "refused"


def test_of_fifty_processes_with_equal_bytes_one_creates_and_the_others_adopt(repository: DirectoryRepository):
    with ProcessPoolExecutor(50, mp_context=multiprocessing.get_context("fork")) as processes:
        outcomes = list(processes.map(contend, [repository.directory] * 50, [BYTES] * 50))
    assert Counter(outcomes) == {"created": 1, "adopted": 49}
    assert visible(repository) == [f".{Path(NAME).name}.facts.json", Path(NAME).name]


def test_of_fifty_threads_with_two_contents_one_wins_and_no_bytes_are_mixed(repository: DirectoryRepository):
    contents = [b"a" * 500_000, b"b" * 500_000] * 25
    with ThreadPoolExecutor(50) as threads:
        outcomes = Counter(threads.map(contend, [repository.directory] * 50, contents))
    assert outcomes == {"created": 1, "adopted": 24, "refused": 25}
    assert (repository.directory / NAME).read_bytes() in contents
    facts = repository.head(NAME)
    assert facts is not None
    assert facts.sha256 == sha256((repository.directory / NAME).read_bytes())


@kills(some=9)
def test_killed_at_any_line_it_shows_all_or_nothing_and_a_rerun_completes_it(
    repository: DirectoryRepository, every: int
):
    target = repository.directory / NAME
    kills, found_complete = 0, 0
    for line in killed_at_each_line(
        lambda: publish(repository), directory, directory_bucket, create_only, every=every
    ):
        kills, found_complete = kills + 1, found_complete + target.exists()
        assert not target.exists() or target.read_bytes() == BYTES
        assert publish(repository).outcome in ("created", "adopted"), line
        assert visible(repository) == [f".{target.name}.facts.json", target.name]
        shutil.rmtree(repository.directory)
    assert kills > 50 // every
    assert 0 < found_complete < kills


def test_killed_in_the_middle_of_the_bytes_it_leaves_no_object_and_its_leftover_is_swept(
    repository: DirectoryRepository, tmp_path: Path
):
    source = tmp_path / "fifo"
    os.mkfifo(source)
    child = multiprocessing.get_context("fork").Process(
        target=repository.create,
        args=(NAME, source),
        kwargs={"sha256": sha256(BYTES), "content_type": "x", "metadata": {}},
    )
    child.start()
    with source.open("wb", buffering=0) as pipe:
        pipe.write(b"x" * (16 << 20))
        (leftover,) = visible(repository)
        assert leftover.endswith(".partial")
        # Alive: whoever publishes beside it leaves its work alone.
        publish(repository, name=f"{NAME}.2")
        assert leftover in visible(repository)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    assert repository.list("") == [f"{NAME}.2"]
    assert publish(repository).outcome == "created"
    assert leftover not in visible(repository)


def test_a_full_disk_is_said_and_leaves_nothing(repository: DirectoryRepository):
    # A file size limit stands in for a full disk: the same write fails, with EFBIG instead of ENOSPC.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(NoSpace, match="File too large"):
            publish(repository)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert visible(repository) == []


def test_without_a_web_server_the_file_itself_is_read_back(repository: DirectoryRepository):
    url = publish(repository).url
    assert repository.read_anonymous(url) == repository.read_anonymous(NAME) == (sha256(BYTES), 4000)
    with pytest.raises(ObjectMissing):
        repository.read_anonymous("network/vyos/absent")


def test_behind_a_web_server_an_anonymous_reader_reads_back_what_was_published(tmp_path: Path, authority: Authority):
    trace = Trace(tmp_path / "trace.jsonl")
    server = ObjectServer(tmp_path / "objects", trace, authority)
    steps: list[tuple[int, int | None]] = []
    with running(server):
        repository = DirectoryRepository(tmp_path / "objects", server.url)
        url = publish(repository).url
        assert url == f"{server.url}/{NAME}"
        found = repository.read_anonymous(url, progress=lambda _, done, total: steps.append((done, total)))
        assert found == (sha256(BYTES), 4000)
        with pytest.raises(ObjectMissing):
            repository.read_anonymous("network/vyos/absent")
        with pytest.raises(Refused, match="not a URL of the repository"):
            repository.read_anonymous("https://elsewhere.example/x")
        server.break_next_answer_after(1000)
        with pytest.raises(Unreachable):
            repository.read_anonymous(url)
    assert steps[-1] == (4000, 4000)
    assert [request.answer_bytes for request in trace.requests()] == [4000, 0, 1000]


def test_a_server_of_an_unknown_authority_is_not_believed(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    stranger = Authority(tmp_path / "stranger")
    server = ObjectServer(tmp_path / "objects", Trace(tmp_path / "trace.jsonl"), stranger)
    with running(server):
        repository = DirectoryRepository(tmp_path / "objects", server.url)
        publish(repository)
        with pytest.raises(Untrusted, match="SSL_CERT_FILE"):
            repository.read_anonymous(NAME)


def test_a_public_url_that_redirects_is_refused(tmp_path: Path, authority: Authority):
    server = Redirecting(tmp_path / "objects", Trace(tmp_path / "trace.jsonl"), authority)
    with running(server), pytest.raises(NotAllowed, match="answers with a redirect"):
        DirectoryRepository(tmp_path / "objects", server.url).read_anonymous(NAME)


def test_a_server_that_is_gone_is_worth_another_try(tmp_path: Path, authority: Authority):
    server = ObjectServer(tmp_path / "objects", Trace(tmp_path / "trace.jsonl"), authority)
    with running(server):
        pass
    with pytest.raises(TransientError):
        DirectoryRepository(tmp_path / "objects", server.url).read_anonymous(NAME)


def test_a_directory_is_ready_where_it_can_be_made_and_is_not_made_by_looking(tmp_path: Path) -> None:
    DirectoryRepository(tmp_path / "a" / "b").require_ready()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryFailed, match="cannot be written"):
        DirectoryRepository(tmp_path / "file" / "b").require_ready()


def test_foreign_bytes_under_the_read_checks_name_block_no_publication(tmp_path: Path, authority: Authority) -> None:
    server = ObjectServer(tmp_path / "objects", Trace(tmp_path / "trace.jsonl"), authority)
    foreign = tmp_path / "objects" / MARKER_NAMES[0]
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"none of ours\n")
    with running(server):
        repository = DirectoryRepository(tmp_path / "objects", server.url)
        repository.require_public()
        repository.require_public()
        assert find_marker(repository.head) == MARKER_NAMES[1]
        for name in MARKER_NAMES[1:]:
            path = tmp_path / "objects" / name
            path.unlink(missing_ok=True)
            path.with_name(f".{path.name}.facts.json").unlink(missing_ok=True)
            path.write_bytes(b"none of ours either\n")
        with pytest.raises(MarkerNamesTaken, match="are taken by bytes that are none of ours") as raised:
            repository.require_public()
    assert "find out who writes into this repository" in raised.value.hint
    assert "revision again" not in str(raised.value)
    assert foreign.read_bytes() == b"none of ours\n"
