"""Publishing a file: the directory against `cp` and `sha256sum`, the bucket against Google's client by itself."""

import hashlib
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import storage
from google.oauth2 import service_account

from benchmarks.comparison import Comparison, fastest
from hyops_assets.image.programs import run
from hyops_lab.authority import Authority
from hyops_lab.gcs.server import GcsStandIn
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.repository.directory import DirectoryRepository
from resources.repository.gcs import GcsRepository

MIB = 1 << 20
FULL_BYTES = 512 * MIB
QUICK_BYTES = 12 * MIB
BUCKET = "hyops-bench-records-a1"
PROJECT = "hyops-lab"
TARGET = 1.25
"""Of the time; a throughput of 0.8."""


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Time both repositories with a file of noise; ours hash it on its way, and each object is a new one."""
    size = QUICK_BYTES if quick else FULL_BYTES
    source = scratch / "source"
    with source.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    times = 1 if quick else 3
    yield _directory(scratch, source, sha256, times)
    with _bucket(scratch / "gcs") as (url, key):
        yield _against_client(url, key, source, sha256, times)


def _directory(scratch: Path, source: Path, sha256: str, times: int) -> Comparison:
    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            DirectoryRepository(Path(place)).create("x", source, sha256=sha256, content_type="x", metadata={})

    def theirs() -> None:
        run(["cp", "--reflink=never", source, scratch / "copy"])
        run(["sha256sum", scratch / "copy"])

    our_seconds, their_seconds = fastest(ours, theirs, times=times)
    return Comparison(
        work=f"{source.stat().st_size // MIB} MiB into a directory",
        against="cp and sha256sum",
        ours=our_seconds,
        theirs=their_seconds,
        target=TARGET,
        included="ours is on the disk when it ends (fsync); theirs may be in memory",
    )


def _against_client(url: str, key: dict[str, str], source: Path, sha256: str, times: int) -> Comparison:
    names = iter(range(1 << 20))
    options = ClientOptions(api_endpoint=url)

    def client(credentials: Credentials) -> storage.Client:
        return storage.Client(PROJECT, credentials, client_options=options)

    account = client(service_account.Credentials.from_service_account_info(key))
    repository = GcsRepository(
        lambda: account, client(AnonymousCredentials()), BUCKET, public_base_url=f"{url}/{BUCKET}"
    )

    def ours() -> None:
        repository.create(f"ours-{next(names)}", source, sha256=sha256, content_type="x", metadata={})

    def theirs() -> None:
        blob = account.bucket(BUCKET).blob(f"theirs-{next(names)}")
        blob.upload_from_filename(str(source), if_generation_match=0, checksum="crc32c")

    with closing(repository):
        our_seconds, their_seconds = fastest(ours, theirs, times=times)
    return Comparison(
        work=f"{source.stat().st_size // MIB} MiB into a bucket of the stand-in",
        against="google-cloud-storage",
        ours=our_seconds,
        theirs=their_seconds,
        target=TARGET,
        included="ours includes the SHA-256 of the file, the look whether the name is free and the bucket is public",
    )


@contextmanager
def _bucket(directory: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the endpoint of a public bucket and a key for it, served by another process, as a service is."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    server = processes.Process(target=_serve, args=(directory, theirs))
    server.start()
    try:
        url, key, certificate = ours.recv()
        trusted = {"SSL_CERT_FILE": certificate, "REQUESTS_CA_BUNDLE": certificate, "NO_PROXY": "127.0.0.1"}
        with mock.patch.dict(os.environ, trusted):
            account = service_account.Credentials.from_service_account_info(key)
            with closing(storage.Client(PROJECT, account, client_options=ClientOptions(api_endpoint=url))) as client:
                bucket = client.create_bucket(BUCKET)
                policy = bucket.get_iam_policy()
                policy.bindings = [{"role": "roles/storage.objectViewer", "members": {"allUsers"}}]
                bucket.set_iam_policy(policy)
            yield url, key
    finally:
        ours.send(None)
        server.join()


def _serve(directory: Path, door: Connection) -> None:
    authority = Authority(directory / "authority")
    stand_in = GcsStandIn(directory / "state", Trace(directory / "trace.jsonl"), authority)
    with running(stand_in):
        door.send((stand_in.url, stand_in.key("owner"), str(authority.certificate_file)))
        door.recv()
