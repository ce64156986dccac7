"""A stand-in of Google Cloud Storage with a bucket that anyone may read, and Google's own client against it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials, Credentials, CredentialsWithRegionalAccessBoundary
from google.auth.crypt import RSASigner
from google.cloud.storage import Bucket, Client
from google.oauth2 import service_account

from hyops_lab.authority import Authority
from hyops_lab.faults import Action, Rule
from hyops_lab.gcs.server import GcsStandIn
from hyops_lab.running import running
from hyops_lab.trace import Request, Trace

BUCKET = "hyops-lab-vyos-records-a1"
PUBLISHER = "publisher"
BOUNDARY_IS_ASKED = "_is_regional_access_boundary_lookup_required"
UPLOADS = f"/upload/storage/v1/b/{BUCKET}/o"


@dataclass
class GcsScene:
    """The stand-in, and clients of it. Accounts get a key when it is first asked for."""

    stand_in: GcsStandIn
    trace: Trace
    keys: dict[str, dict[str, str]] = field(default_factory=dict)

    def key(self, name: str) -> dict[str, str]:
        if name not in self.keys:
            self.keys[name] = self.stand_in.key(name, _private_key(name))
        return self.keys[name]

    def email(self, name: str) -> str:
        return self.stand_in.accounts.email(name)

    def client(self, name: str | None = "owner") -> Client:
        credentials: Credentials = AnonymousCredentials()
        if name is not None:
            key = self.key(name)
            signer = RSASigner(_loaded(key["private_key"]), key["private_key_id"])
            credentials = service_account.Credentials(signer, key["client_email"], key["token_uri"])
        return Client("hyops-lab", credentials, client_options=ClientOptions(api_endpoint=self.stand_in.url))

    def bucket(self, name: str | None = "owner") -> Bucket:
        return self.client(name).bucket(BUCKET)

    def grant(self, *grants: tuple[str, str]) -> None:
        """Set who may do what in the bucket: pairs of an account (or allUsers) and a role."""
        bucket = self.bucket()
        policy = bucket.get_iam_policy()
        policy.bindings = self.bindings(*grants)
        bucket.set_iam_policy(policy)

    def bindings(self, *grants: tuple[str, str]) -> list[dict[str, object]]:
        """Return the lines of a policy that grants so much."""
        members = [(who if who == "allUsers" else f"serviceAccount:{self.email(who)}", role) for who, role in grants]
        return [{"role": f"roles/storage.{role}", "members": [who]} for who, role in members]

    def fault(self, method: str, path: str, action: Action, *nth: int) -> None:
        self.stand_in.faults.add(Rule(method, path, action, frozenset(nth or (1,))))

    def seen(self, method: str = ".*", system: str = "gcs") -> list[Request]:
        return [one for one in self.trace.requests() if one.system == system and method in (one.method, ".*")]

    @property
    def writes(self) -> int:
        """How many mutating calls were answered, tokens aside."""
        return self.trace.mutations()["gcs"]

    def get(self, name: str, method: str = "GET", **headers: str) -> httpx.Response:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        with httpx.Client() as client:
            return client.request(method, f"{self.stand_in.url}/{BUCKET}/{name}", headers=sent)


@cache
def _private_key(name: str) -> rsa.RSAPrivateKey:
    """Make one key per account and process: finding its primes takes longer than a scene."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _loaded(private_key: str) -> PrivateKeyTypes:
    """Read a key once: reading it checks it, which takes as long as making it."""
    return serialization.load_pem_private_key(private_key.encode(), password=None)


def trust(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients of this process trust the lab, and send nothing beyond loopback."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority.certificate_file))
    # google-auth asks Google, in a thread, for an account's regional boundary: not in tests, some of which fork.
    monkeypatch.setattr(CredentialsWithRegionalAccessBoundary, BOUNDARY_IS_ASKED, lambda _: False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@contextmanager
def gcs_scene(directory: Path, authority: Authority, *, session_seconds: float = 3600) -> Iterator[GcsScene]:
    """Serve one with a public bucket in which `publisher` may create and see objects."""
    trace = Trace(directory / "trace.jsonl")
    stand_in = GcsStandIn(directory / "gcs", trace, authority, session_seconds=session_seconds)
    with running(stand_in):
        scene = GcsScene(stand_in, trace)
        stand_in.provide_bucket(BUCKET, PUBLISHER)
        grants = (PUBLISHER, "objectCreator"), (PUBLISHER, "objectViewer"), ("allUsers", "objectViewer")
        stand_in.bucket_policy(BUCKET, {"bindings": scene.bindings(*grants)})
        yield scene
