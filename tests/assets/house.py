"""A whole house for tests: a lab that serves, a runtime root that points at it, and the graph on a real instance."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import JsonValue

from hyops_assets.cli.graph import Graph
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.lab import SITE, lab_settings
from hyops_assets.contract.build_settings import AptSource, BuildSettings
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.progress import Progress
from hyops_assets.contract.settings import Settings
from hyops_assets.contract.signing_keys import SigningKey
from hyops_assets.lab.ensemble import Ensemble
from hyops_assets.lab.iso_layout import built_at
from hyops_assets.lab.miniature import MadeIso
from resources.boot import BootGate
from resources.proxmox.resource import ProxmoxSites
from resources.settings import save_settings

RELEASE = "2026.03.03-0027-rolling"
DISK_BYTES = 512 << 20


class NothingToBoot(BootGate):
    """The miniature has no kernel: its gate says so. The real gate is tested on the bootable look-alike."""

    passes = True

    def boot(
        self, qcow2: Path, *, release: str, firmware: str, timeout: float, scratch: Path, progress: Progress
    ) -> tuple[bool, dict[str, JsonValue]]:
        return self.passes, {"firmware": firmware, "accelerator": "none", "why": "the miniature has no kernel"}


class NeverBoots(NothingToBoot):
    passes = False


def quick(root: RuntimeRoot) -> dict[str, object]:
    """What makes the graph take seconds: nothing to boot, and a short pause between two looks at a worker."""
    return {"boot_gate": NothingToBoot(), "proxmox": ProxmoxSites(root=str(root.path), poll_seconds=0.05)}


@dataclass(frozen=True)
class House:
    """One environment with its lab."""

    root: RuntimeRoot
    lab: Ensemble
    instance: dg.DagsterInstance
    settings: Settings

    def graph(self, **overrides: object) -> Graph:
        return Graph(self.root, self.instance, overrides=quick(self.root) | overrides)

    def announce(self, made: MadeIso) -> None:
        """Put a release into the lab's feed, as VyOS would."""
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

    def seed_everywhere(self, graph: Graph, version: str = RELEASE) -> None:
        graph.seed_proxmox(SITE, version)
        graph.seed_hetzner(SITE, version)


@contextmanager
def house(directory: Path, key: SigningKey, packages: AptSource, *, gcs: bool = False) -> Iterator[House]:
    """Yield a house whose lab serves for as long as the block lasts; with a bucket, if it is wanted."""
    root = RuntimeRoot(directory / "root")
    lab = Ensemble(root.lab, gcs=gcs)
    before = dict(os.environ)
    try:
        with lab.up():
            os.environ.update(lab.environment)
            base = lab_settings(lab.files)
            settings = base.model_copy(
                update={
                    "feed": base.feed.model_copy(update={"keys": [key]}),
                    "build": BuildSettings(disk_bytes=DISK_BYTES, apt_sources=[packages]),
                }
            )
            save_settings(root, settings, heading="test")
            with open_instance(root) as instance:
                yield House(root, lab, instance, settings)
    finally:
        os.environ.clear()
        os.environ.update(before)
