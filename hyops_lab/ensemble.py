"""All stand-ins of one environment together, and where they keep what they hold.

Ports are chosen once and kept: published URLs are immutable, so an object server must come back where it was.
"""

import errno
import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.inputs import GCS_KEY_VARIABLES
from hyops_assets.image.private import make_private_directory
from hyops_lab.authority import Authority
from hyops_lab.feed import ReleaseServer
from hyops_lab.gcs.server import GcsStandIn
from hyops_lab.hetzner.rescue import RescueHost
from hyops_lab.hetzner.standin import HetznerStandIn
from hyops_lab.hetzner.work import Delays
from hyops_lab.objects import ObjectServer
from hyops_lab.proxmox.server import ProxmoxStandIn
from hyops_lab.running import running
from hyops_lab.trace import Trace

PROXMOX_TOKEN_ID = "hyops@pve!lab"  # noqa: S105 - a token's name
PROXMOX_TOKEN_ENV = "HYOPS_LAB_PROXMOX_TOKEN"  # noqa: S105 - a variable's name
HETZNER_TOKEN_ENV = "HYOPS_LAB_HCLOUD_TOKEN"  # noqa: S105 - a variable's name
HOST = "127.0.0.1"
GCS_PROJECT = "hyops-lab"
GCS_BUCKET = "hyops-lab-vyos-records-a1"
GCS_PUBLISHER = "objectrepo"
"""Project, bucket and account of the lab's Google Cloud Storage: what `org/gcp/object-repo#vyos_records` names."""


class PortInUse(HyopsError):
    """Another program listens where the lab listened before."""


@dataclass(frozen=True)
class LabFiles:
    """The paths below a lab's directory."""

    directory: Path

    @property
    def objects(self) -> Path:
        """The object repository: the product writes it, the object server reads it."""
        return self.directory / "objects"

    @property
    def feed(self) -> Path:
        """`version.json` and the releases it announces."""
        return self.directory / "feed"

    @property
    def ports(self) -> Path:
        """The ports, chosen once."""
        return self.directory / "ports.json"

    @property
    def certificate(self) -> Path:
        """The lab's own authority, for a site's `ca_file`."""
        return self.directory / "authority" / "lab-ca.pem"

    @property
    def bundle(self) -> Path:
        """The system's authorities and the lab's, for `SSL_CERT_FILE`."""
        return self.directory / "authority" / "bundle.pem"

    def trace(self) -> Trace:
        """The requests to every stand-in, over all starts."""
        return Trace(self.directory / "trace.jsonl")


class Ensemble:
    """The stand-ins of one lab. Tokens are drawn at every start and live in memory only.

    Args:
        directory: what the lab holds.
        gcs: whether Google Cloud Storage is among them, with a bucket to publish into and a key of the account that
            may. The repository of `pipeline.yml` is the directory all the same.
        hetzner_delays: what Hetzner's actions wait for before their work, by command.
    """

    def __init__(self, directory: Path, *, gcs: bool = False, hetzner_delays: Delays | None = None) -> None:
        self.files = LabFiles(directory)
        self.tokens = {name: secrets.token_urlsafe(24) for name in (PROXMOX_TOKEN_ENV, HETZNER_TOKEN_ENV)}
        make_private_directory(directory)
        for subdirectory in (self.files.objects, self.files.feed):
            subdirectory.mkdir(exist_ok=True)
        self._gcs_key: dict[str, str] = {}
        ports = self._former_ports()
        trace = self.files.trace()
        # Public, so that a test's stand-in beside these is trusted as they are.
        self.authority = authority = Authority(self.files.certificate.parent)
        self.objects = ObjectServer(self.files.objects, trace, authority, port=ports.get("objects", 0))
        self.feed = ReleaseServer(self.files.feed, trace, authority, port=ports.get("feed", 0))
        self.proxmox = ProxmoxStandIn(
            directory / "proxmox",
            trace,
            authority,
            token_id=PROXMOX_TOKEN_ID,
            token=self.tokens[PROXMOX_TOKEN_ENV],
            port=ports.get("proxmox", 0),
            ca_bundle=self.files.bundle,
        )
        self.hetzner = HetznerStandIn(
            directory / "hetzner",
            trace,
            token=self.tokens[HETZNER_TOKEN_ENV],
            port=ports.get("hetzner", 0),
            rescue=RescueHost(port=ports.get("rescue", 0), bundle=self.files.bundle),
            delays=hetzner_delays,
        )

        self.gcs: GcsStandIn | None = None
        if gcs:
            self.gcs = GcsStandIn(directory / "gcs", trace, authority, port=ports.get("gcs", 0), project=GCS_PROJECT)
            self.gcs.provide_bucket(GCS_BUCKET, GCS_PUBLISHER)

    @property
    def environment(self) -> dict[str, str]:
        """What a client's process needs in its environment to reach the lab: trust, and tokens."""
        bundle = str(self.files.bundle)
        return {
            "SSL_CERT_FILE": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            "CURL_CA_BUNDLE": bundle,
            # A company's proxy is not on the way to loopback.
            "NO_PROXY": f"{HOST},localhost",
            **self.tokens,
            **self._gcs_key,
        }

    @contextmanager
    def up(self) -> Iterator[None]:
        """Serve for as long as the block lasts.

        Raises:
            PortInUse: a port that the lab used before is taken.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(running(self.objects, self.feed, self.proxmox, self.hetzner))
                if self.gcs is not None:
                    stack.enter_context(running(self.gcs))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise PortInUse(
                    f"the lab cannot listen where it did: {error.strerror}",
                    hint=f"stop what listens there, or remove {self.files.directory} to start a new lab",
                ) from error
            self._keep_ports()
            if self.gcs is not None:
                # Known now: the port, which stands in the key. Keys of earlier starts end, as tokens do.
                self.gcs.accounts.disable(f"{GCS_PUBLISHER}@{GCS_PROJECT}.iam.gserviceaccount.com")
                key = json.dumps(self.gcs.key(GCS_PUBLISHER))
                # A file that the user's shell names would come before the key, and does not belong to the lab.
                self._gcs_key = dict(zip(GCS_KEY_VARIABLES, ("", key), strict=True))
            yield

    def _former_ports(self) -> dict[str, int]:
        return json.loads(self.files.ports.read_text()) if self.files.ports.exists() else {}

    def _keep_ports(self) -> None:
        chosen = {
            "objects": self.objects.port,
            "feed": self.feed.port,
            "proxmox": self.proxmox.port,
            "hetzner": self.hetzner.port,
            "rescue": self.hetzner.rescue_ssh_port,
        }
        if self.gcs is not None:
            chosen["gcs"] = self.gcs.port
        # A port that is not served this time is kept for the next.
        chosen = self._former_ports() | chosen
        if chosen != self._former_ports():
            self.files.ports.write_text(json.dumps(chosen, indent=2) + "\n")
