"""A stand-in of an S3 service with a bucket that anyone may read, and the product's client of it.

With `HYOPS_S3_ENDPOINT` the same sentences are tried on a real service: `HYOPS_S3_BUCKET` names a bucket there that
anyone may read, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY a key that may write; `HYOPS_S3_REGION` and
`HYOPS_S3_BASE_URL` say what the endpoint does not.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hyops_lab.authority import Authority
from hyops_lab.faults import Action, Rule
from hyops_lab.running import running
from hyops_lab.s3.server import S3StandIn
from hyops_lab.s3.store import Bucket, Conduct
from hyops_lab.trace import Request, Trace
from resources.buckets.s3 import S3Bucket
from resources.buckets.s3_client import KEY, KEY_ID, Patience, s3_client
from resources.repository.s3 import S3Repository

BUCKET = "hyops-lab-vyos-records-a1"
PUBLISHER = "AKIALABPUBLISHER0001"
PART_BYTES = 5 << 20
"""The least that a part may have."""
IMPATIENT = Patience(attempts=2, connect_seconds=5, answer_seconds=5, whole_seconds=30)


@dataclass
class S3Scene:
    """The stand-in, and clients of it."""

    stand_in: S3StandIn
    trace: Trace
    directory: Path
    keys: dict[str, str] = field(default_factory=lambda: {PUBLISHER: secrets.token_hex(20)})

    def bucket(self, name: str = BUCKET, *, who: str = PUBLISHER, region: str | None = None) -> S3Bucket:
        environ = {**os.environ, KEY_ID: who, KEY: self.keys[who]}
        return S3Bucket(
            lambda: s3_client(self.stand_in.url, region, environ, IMPATIENT),
            name,
            part_bytes=PART_BYTES,
            notes=self.directory / "uploads",
        )

    def repository(self, name: str = BUCKET, *, who: str = PUBLISHER, region: str | None = None) -> S3Repository:
        return S3Repository(self.bucket(name, who=who, region=region), f"{self.stand_in.url}/{name}")

    def key(self, name: str, *, may_write: bool = True) -> str:
        self.keys[name] = secrets.token_hex(20)
        self.stand_in.key(name, self.keys[name], may_write=may_write)
        return name

    def provide(self, conduct: Conduct, name: str = "another-bucket") -> Bucket:
        return self.stand_in.provide_bucket(name, conduct)

    def fault(self, method: str, path: str, action: Action, *nth: int) -> None:
        self.stand_in.faults.add(Rule(method, path, action, frozenset(nth or (1,))))

    def seen(self, method: str = ".*") -> list[Request]:
        return [one for one in self.trace.requests() if method in (one.method, ".*")]

    @property
    def held(self) -> Bucket:
        return self.stand_in.buckets[BUCKET]


def trust(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients of this process trust the lab, and send nothing beyond loopback."""
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority.certificate_file))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@contextmanager
def s3_scene(directory: Path, authority: Authority) -> Iterator[S3Scene]:
    """Serve one with a public bucket in which `PUBLISHER` may write."""
    trace = Trace(directory / "trace.jsonl")
    stand_in = S3StandIn(trace, authority)
    with running(stand_in):
        scene = S3Scene(stand_in, trace, directory)
        stand_in.provide_bucket(BUCKET)
        stand_in.key(PUBLISHER, scene.keys[PUBLISHER])
        yield scene
