"""An environment for tests: a lab that serves, a runtime root that points at it, the graph on a real instance."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg

from chaos.unbooted import Unbooted
from hyops_assets.cli.graph import Graph
from hyops_assets.cli.instance import open_instance
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.definitions import build_definitions
from hyops_assets.seeds.partitions import add_version
from hyops_assets.settings.build import AptSource, BuildSettings
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.signing_keys import SigningKey
from hyops_lab.cli.lab import SITE, lab_settings
from hyops_lab.ensemble import HOST, Ensemble
from hyops_lab.iso_layout import built_at
from hyops_lab.miniature import MadeIso
from resources.settings import load_settings, save_settings
from resources.sites.proxmox.resource import OF_RUNS, proxmox_sites
from tests.assets.relocation import relocate
from tests.clouds import HETZNER, PROXMOX

RELEASE = "2026.03.03-0027-rolling"
DISK_BYTES = 512 << 20


class NeverBoots(Unbooted):
    passes = False


def quick() -> dict[str, object]:
    """What makes the graph take seconds: nothing to boot, and a short pause between two looks at a worker."""
    return {"boot_gate": Unbooted(), "proxmox": proxmox_sites(replace(OF_RUNS, first_poll=0.05, longest_poll=0.05))}


@dataclass(frozen=True)
class LabEnvironment:
    """One environment with its lab."""

    root: RuntimeRoot
    lab: Ensemble
    instance: dg.DagsterInstance
    settings: Settings

    def graph(self, handed_over: HandedOver | None = None, **overrides: object) -> Graph:
        return Graph(self.root, self.instance, overrides=quick() | overrides, handed_over=handed_over)

    def announce(self, made: MadeIso) -> None:
        """Put a release into the lab's feed, as VyOS would."""
        # What lies there may be shared with other environments: it is replaced, never written into.
        (self.lab.files.feed / RELEASE / made.iso.name).unlink(missing_ok=True)
        self.lab.feed.publish(RELEASE, made.iso, made.minisig.read_text(), built_at(RELEASE))

    def configure(self, **changes: Any) -> None:
        save_settings(self.root, self.settings.model_copy(update=changes), heading="test")

    def mutations(self) -> Mapping[str, int]:
        return self.lab.files.trace().mutations()

    def published(self) -> dict[str, bytes]:
        """Every object of the repository, by name."""
        found = self.lab.files.objects
        return {
            str(path.relative_to(found)): path.read_bytes()
            for path in sorted(found.rglob("*"))
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(found).parts)
        }

    def state(self, path: str) -> dict[str, Any]:
        return json.loads((self.root.states / path).read_text())

    def build_records(self) -> None:
        """Build both records of RELEASE and pass their gates; publish nothing."""
        # The selection that the UI's "Materialize" makes of three assets and their checks.
        selected = dg.AssetSelection.assets("vyos_iso", "qcow2_record", "raw_xz_record")
        definitions = dg.Definitions.merge(
            build_definitions(self.root, self.settings, overrides=quick()),
            dg.Definitions(jobs=[dg.define_asset_job("records_alone", selection=selected)]),
        )
        add_version(self.instance, RELEASE)
        ran = definitions.resolve_job_def("records_alone").execute_in_process(
            instance=self.instance,
            partition_key=RELEASE,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        assert all(one.passed for one in ran.get_asset_check_evaluations())

    def seed_everywhere(self, graph: Graph, version: str = RELEASE) -> None:
        graph.seed(PROXMOX, SITE, version)
        graph.seed(HETZNER, SITE, version)


@contextmanager
def lab_environment(
    directory: Path, key: SigningKey, packages: AptSource, *, gcs: bool = False
) -> Iterator[LabEnvironment]:
    """Yield an environment whose lab serves for as long as the block lasts; with a bucket, if it is wanted."""
    root = RuntimeRoot(directory / "root")
    with _lab_up(root, gcs=gcs) as lab:
        base = lab_settings(lab.files)
        settings = base.model_copy(
            update={
                "feed": base.feed.model_copy(update={"keys": [key]}),
                "build": BuildSettings(disk_bytes=DISK_BYTES, apt_sources=[packages]),
            }
        )
        save_settings(root, settings, heading="test")
        with open_instance(root) as instance:
            yield LabEnvironment(root, lab, instance, settings)


@contextmanager
def reopened(directory: Path) -> Iterator[LabEnvironment]:
    """Yield the environment that an earlier block made in a directory."""
    root = RuntimeRoot(directory / "root")
    with _lab_up(root) as lab, open_instance(root) as instance:
        yield LabEnvironment(root, lab, instance, load_settings(root))


@contextmanager
def moved(directory: Path, *, former: Path, gcs: bool = False) -> Iterator[LabEnvironment]:
    """Yield the environment whose files were copied into a directory, at ports of its own.

    Args:
        directory: holds the copy below `root`.
        former: the root that its files still name.
        gcs: whether its lab gets a bucket besides.
    """
    root = RuntimeRoot(directory / "root")
    ports = root.lab / "ports.json"
    before: dict[str, int] = json.loads(ports.read_text())
    now = dict(zip(before, free_ports(len(before)), strict=True))
    ports.write_text(json.dumps(now))
    addresses = {f"{HOST}:{before[name]}": f"{HOST}:{now[name]}" for name in before}
    # The sites of pipeline.yml name a Proxmox node's port by itself.
    own = {f"port: {before[name]}": f"port: {now[name]}" for name in before}
    # Before the stand-ins read what they kept: an inventory names URLs as well.
    relocate(root.path, {str(former): str(root.path), **addresses, **own})
    with _lab_up(root, gcs=gcs) as lab, open_instance(root) as instance:
        yield LabEnvironment(root, lab, instance, load_settings(root))


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nothing listens on at this moment."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def _lab_up(root: RuntimeRoot, *, gcs: bool = False) -> Iterator[Ensemble]:
    lab = Ensemble(root.lab, gcs=gcs)
    before = dict(os.environ)
    try:
        with lab.up():
            os.environ.update(lab.environment)
            yield lab
    finally:
        os.environ.clear()
        os.environ.update(before)
