"""Many Hetzner projects on loopback, and an environment whose records they can be seeded with."""

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from hyops_assets.cli.instance import open_instance
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.record import Record, Variant
from hyops_assets.contract.references import BUILD_STATE
from hyops_assets.contract.state import record_outputs
from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.variants import rawxz
from hyops_assets.seeds.partitions import add_version
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.repository import RepositorySettings
from hyops_assets.settings.seeding import SeedingSettings
from hyops_assets.settings.sites import HetznerSite, Sites
from hyops_lab.authority import Authority
from hyops_lab.hetzner import HetznerStandIn, RescueHost
from hyops_lab.objects import ObjectServer
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.artifacts.store import ArtifactStore
from resources.settings import save_settings
from resources.states.store import StateStore

KEY = "vyos-1.5"
NOISE_BYTES = 2 << 20


@dataclass(frozen=True)
class FleetLab:
    """The environment, and what its processes need to reach the lab."""

    root: RuntimeRoot
    sites: list[str]
    versions: list[str]
    environment: Mapping[str, str]
    projects: Mapping[str, HetznerStandIn]

    def snapshots(self) -> int:
        """Return how many snapshots there are that say they are ready, over all projects."""
        images = (image for project in self.projects.values() for image in project.project.contents.images.values())
        return sum(image.kind == "snapshot" and image.labels.get("hyops_state") == "ready" for image in images)

    def servers(self) -> int:
        """Return how many servers are left."""
        return sum(len(project.project.contents.servers) for project in self.projects.values())


@contextmanager
def fleet_lab(
    directory: Path, *, sites: int, versions: int, disk_bytes: int, delays: Mapping[str, float]
) -> Iterator[FleetLab]:
    """Serve so many projects, and publish so many small records, for as long as the block lasts.

    Args:
        directory: takes everything.
        sites: projects, each with a rescue host of its own.
        versions: records, a day apart.
        disk_bytes: of each record's disk: two megabytes of noise, the rest zeros.
        delays: seconds that the projects' actions take, by command.
    """
    root, authority, trace = RuntimeRoot(directory / "root"), Authority(directory / "ca"), Trace(directory / "trace")
    objects = ObjectServer(directory / "objects", trace, authority)
    names = [f"site-{number:02d}" for number in range(sites)]
    tokens = {name: secrets.token_urlsafe(24) for name in names}
    projects = {
        name: HetznerStandIn(
            directory / name, trace, token=tokens[name], rescue=RescueHost(bundle=authority.bundle_file), delays=delays
        )
        for name in names
    }
    with ExitStack() as stack:
        stack.enter_context(running(objects, *projects.values()))
        save_settings(root, _settings(directory, objects, projects), heading="benchmark")
        named = [f"2026.03.{day + 1:02d}-0027-rolling" for day in range(versions)]
        with open_instance(root) as instance:
            for version in named:
                _publish(root, instance, _record(directory / "objects", version, disk_bytes), objects)
        environment = {
            **os.environ,
            "SSL_CERT_FILE": str(authority.bundle_file),
            "NO_PROXY": "127.0.0.1",
            **{_token_env(name): token for name, token in tokens.items()},
        }
        yield FleetLab(root, names, named, environment, projects)


def _settings(directory: Path, objects: ObjectServer, projects: Mapping[str, HetznerStandIn]) -> Settings:
    return Settings(
        lab=True,
        repository=RepositorySettings(
            directory=directory / "objects", public_base_url=f"https://127.0.0.1:{objects.port}", lab=True
        ),
        sites=Sites(
            hetzner={
                name: HetznerSite(
                    endpoint=project.url,
                    token_env=_token_env(name),
                    rescue_ssh_port=project.rescue_ssh_port,
                    paid_seeds_a_day=1000,
                    lab=True,
                )
                for name, project in projects.items()
            }
        ),
        seeding=SeedingSettings(paid_seeds_a_day=1000),
    )


def _record(objects: Path, version: str, disk_bytes: int) -> Record:
    """Make a record of noise and publish its raw.xz."""
    packed = objects / published_name(KEY, RecordVersion.parse(version), "raw.xz")
    packed.parent.mkdir(parents=True, exist_ok=True)
    disk = packed.with_suffix(".raw")
    disk.write_bytes(hashlib.shake_256(version.encode()).digest(NOISE_BYTES))
    os.truncate(disk, disk_bytes)
    encoded = rawxz.encode(disk, packed)
    disk.unlink()
    variant = Variant(
        file_name=packed.name,
        size_bytes=packed.stat().st_size,
        sha256=hashlib.sha256(packed.read_bytes()).hexdigest(),
    )
    return Record(key=KEY, version=version, disk=encoded.disk, variants={"raw.xz": variant}, lab=True)


def _publish(root: RuntimeRoot, instance: dg.DagsterInstance, record: Record, objects: ObjectServer) -> None:
    """Have the instance know a record as one that others published."""
    url = f"https://127.0.0.1:{objects.port}/{published_name(KEY, record.record_version, 'raw.xz')}"
    contract = Contract(
        record=record,
        record_digest=record.digest,
        record_url="",
        evidence_url="",
        sbom_url="",
        urls={"raw.xz": url},
        signature=None,
        registered=True,
    )
    add_version(instance, record.version)
    ArtifactStore(root.artifacts).write_document("published_contract", record.version, contract)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            "published_contract", partition=record.version, tags={"dagster/data_version": record.digest}
        )
    )
    StateStore(root).commit(BUILD_STATE, run_id="benchmark", outputs=record_outputs(contract))


def _token_env(site: str) -> str:
    return f"TOKEN_{site.replace('-', '_').upper()}"
