"""One environment with its lab, and a record that was built and published: as it is before each seed."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos import child
from chaos.points import Point, Table
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.record import Record
from hyops_assets.settings.build import BuildSettings
from hyops_lab.cli.lab import lab_settings
from hyops_lab.ensemble import Ensemble
from hyops_lab.faults import FaultTable
from hyops_lab.iso_layout import built_at
from hyops_lab.miniature import Oddities, make_miniature
from hyops_lab.packages import make_repository
from hyops_lab.signing import LabKey
from resources.artifacts.store import ArtifactStore
from resources.settings import save_settings

RELEASE = "2026.03.03-0027-rolling"
DISK_BYTES = 512 << 20
NOISE_BYTES = 32 << 20
_HUNG_SECONDS = 300.0
# Long enough that its first look finds a server still being made: else one poll less is made than was recorded.
_DELAYS = {"create_server": 0.3, "start_server": 0.05, "create_image": 0.2, "delete_server": 0.05}
_WORKER_SECONDS = 0.1
_KEPT = ("blobs", "objects", "feed")
"""Directories whose files never change: they are left where they are."""


class ChildHung(Exception):
    """A run did not end; its log says how far it came."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: by SIGKILL, or with an outcome, or failed with a reason."""

    process_group: int
    killed: bool
    outcome: str = ""
    failure: str = ""


class ChaosEnvironment:
    """An environment below a directory.

    Args:
        directory: holds everything.
        private: whether its records can be read on this host only, so that their bytes are sent to the clouds.
        noise_bytes: how many of its records' disk cannot be packed: what is brought to the clouds, and written there.
    """

    def __init__(self, directory: Path, *, private: bool, noise_bytes: int = NOISE_BYTES) -> None:
        self.directory = directory
        self.private = private
        self.noise_bytes = noise_bytes
        self.root = RuntimeRoot(directory / "root")
        self.temporary = directory / "tmp"
        self._saved = directory / "saved"
        self._children = multiprocessing.get_context("forkserver")
        self._children.set_forkserver_preload(["chaos.warm"])

    def build(self) -> Record:
        """Build and publish the record, and keep the environment as it then is."""
        iso = make_miniature(
            self.directory / "iso",
            RELEASE,
            key := LabKey.generate(),
            oddities=Oddities(payload_bytes=self.noise_bytes),
        )
        packages = make_repository(self.directory / "packages")
        self.temporary.mkdir()
        with self.serving() as lab:
            settings = lab_settings(lab.files)
            if self.private:
                closed = settings.repository.model_copy(update={"public_base_url": None})
                settings = settings.model_copy(update={"repository": closed})
            settings = settings.model_copy(
                update={
                    "feed": settings.feed.model_copy(update={"keys": [key.trusted_as("lab")]}),
                    "build": BuildSettings(disk_bytes=DISK_BYTES, apt_sources=[packages]),
                }
            )
            save_settings(self.root, settings, heading="chaos")
            lab.feed.publish(RELEASE, iso.iso, iso.minisig.read_text(), built_at(RELEASE))
            built = self.run(lab, "build")
            if built.outcome != "built":
                raise RuntimeError(built.failure)
        shutil.copytree(self.root.path, self._saved, ignore=shutil.ignore_patterns(*_KEPT))
        return ArtifactStore(self.root.artifacts).read_document("published_contract", RELEASE, Contract).record

    def restore(self) -> None:
        """Put the environment back to where nothing was seeded."""
        _remove(self.root.path)
        shutil.copytree(self._saved, self.root.path, dirs_exist_ok=True)
        shutil.rmtree(self.temporary)
        self.temporary.mkdir()

    @contextmanager
    def serving(self) -> Iterator[Ensemble]:
        """Have the lab up, a little slow, so that a run meets work in progress."""
        lab = Ensemble(self.root.lab, hetzner_delays=_DELAYS)
        lab.proxmox.workers.delay_seconds = _WORKER_SECONDS
        with lab.up():
            yield lab

    def run(self, lab: Ensemble, work: child.Work, *, by_shell: bool = True, at: Point | None = None) -> Ended:
        """Do a piece of work in a child, which the lab kills at a point if one is given.

        Raises:
            ChildHung: it did not end.
        """
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "TMPDIR": str(self.temporary)}
        log = self.directory / "child.log"
        task = child.Task(work, self.root.path, RELEASE, environ | lab.environment, log, by_shell)
        ours, theirs = self._children.Pipe()
        process = self._children.Process(target=child.main, args=(task, theirs))
        process.start()
        theirs.close()
        with ours:
            group: int = ours.recv()
            if at is not None:
                _table(lab, at.table).add(at.rule(group))
            ours.send(child.GO)
            process.join(_HUNG_SECONDS)
            if process.is_alive():
                process.kill()
                message = f"{work} did not end within {_HUNG_SECONDS:.0f} s; see {log}"
                raise ChildHung(message)
            if process.exitcode == -signal.SIGKILL:
                return Ended(group, killed=True)
            if not ours.poll():
                return Ended(group, killed=False, failure=f"exit status {process.exitcode}; see {log}")
            fine, text = ours.recv()
        return Ended(group, killed=False, outcome=text if fine else "", failure="" if fine else text)


def _table(lab: Ensemble, system: Table) -> FaultTable:
    tables: dict[Table, FaultTable] = {
        "hetzner": lab.hetzner.faults,
        "proxmox": lab.proxmox.faults,
        "objects": lab.objects.faults,
    }
    return tables[system]


def _remove(directory: Path) -> None:
    """Remove everything below a directory but the rooms whose files never change."""
    for path in directory.iterdir():
        if path.name in _KEPT:
            continue
        if any(below.name in _KEPT for below in path.rglob("*")):
            _remove(path)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
