"""What stands in each cloud of the lab: as a word for the table, and as a verdict. Reads the stand-ins' own files."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from chaos.child import Work
from hyops_assets.contract.record import Record
from hyops_assets.contract.references import IMAGE_SEED, TEMPLATE_SEED, StateRef
from hyops_lab.ensemble import Ensemble
from resources.sites.proxmox.lineage import parse_lineage

_CHUNK_BYTES = 4 << 20


class Cloud(ABC):
    """One of the two clouds.

    Attributes:
        work: what a child is given.
        state: the slot that its seed writes.
    """

    work: ClassVar[Work]
    state: ClassVar[StateRef]

    @abstractmethod
    def standing(self, lab: Ensemble) -> str:
        """Say in few words what stands there."""

    @abstractmethod
    def is_ready(self, lab: Ensemble) -> bool:
        """Tell whether a seed committed something."""

    @abstractmethod
    def problems(self, lab: Ensemble, record: Record) -> Iterator[str]:
        """Yield everything that is not exactly one ready image or template with the record's bytes."""


class Hetzner(Cloud):
    """A project: servers, keys, snapshots."""

    work = "hetzner"
    state = StateRef(IMAGE_SEED)

    def standing(self, lab: Ensemble) -> str:
        """Say which servers, keys and snapshots there are."""
        contents = lab.hetzner.project.contents
        words = [f"server {server.status}" for server in contents.servers.values()]
        words += ["key" for _ in contents.keys]
        for image in contents.images.values():
            if image.kind == "snapshot":
                state = image.labels.get("hyops_state", "unlabelled")
                protected = ", protected" if image.protected else ""
                words.append(f"snapshot {image.status}, {state}{protected}")
        return "; ".join(words) or "nothing"

    def is_ready(self, lab: Ensemble) -> bool:
        """Tell whether a snapshot is labelled ready."""
        images = lab.hetzner.project.contents.images.values()
        return any(image.labels.get("hyops_state") == "ready" for image in images)

    def problems(self, lab: Ensemble, record: Record) -> Iterator[str]:
        """Yield what is too many, unfinished or wrong."""
        project = lab.hetzner.project
        contents = project.contents
        snapshots = [image for image in contents.images.values() if image.kind == "snapshot"]
        if len(snapshots) != 1 or contents.servers or contents.keys:
            yield f"not one snapshot alone: {self.standing(lab)}"
        if running := [task.command for task in contents.tasks.values() if task.status == "running"]:
            yield f"actions still run: {running}"
        for image in snapshots:
            if (image.status, image.protected, image.labels.get("hyops_state")) != ("available", True, "ready"):
                yield f"snapshot {image.id} is {image.status}, protected {image.protected}, {image.labels}"
            elif (found := _sha256(project.image_disk(image.id), record.disk.size_bytes)) != record.disk.sha256:
                yield f"snapshot {image.id} holds {found}, not {record.disk.sha256}"
        known = {project.image_disk(image.id).name for image in snapshots}
        files = {file.name for file in (lab.files.directory / "hetzner").iterdir() if "disk" in file.name}
        if files != known:
            yield f"files of disks that nothing names: {sorted(files - known)}"


class Proxmox(Cloud):
    """A node: machines, volumes, files for import, workers."""

    work = "proxmox"
    state = StateRef(TEMPLATE_SEED)

    def standing(self, lab: Ensemble) -> str:
        """Say which machines, files for import and workers there are."""
        words = []
        for machine in lab.proxmox.inventory.machines.values():
            lock = f", locked ({machine.config['lock']})" if "lock" in machine.config else ""
            lineage = parse_lineage(str(machine.config.get("description", "")))
            what = "template" if machine.is_template else "machine"
            words.append(f"{what} {lineage.state if lineage else 'unnamed'}{lock}")
        words += ["image" for volume in lab.proxmox.storages.volumes("local") if volume["content"] == "import"]
        words += [f"{task.type} at work" for task in lab.proxmox.inventory.tasks.values() if task.exitstatus is None]
        return "; ".join(words) or "nothing"

    def is_ready(self, lab: Ensemble) -> bool:
        """Tell whether a template is marked ready."""
        machines = lab.proxmox.inventory.machines.values()
        found = (parse_lineage(str(machine.config.get("description", ""))) for machine in machines)
        return any(lineage is not None and lineage.state == "ready" for lineage in found)

    def problems(self, lab: Ensemble, record: Record) -> Iterator[str]:
        """Yield what is too many, unfinished or wrong."""
        storages, machines = lab.proxmox.storages, list(lab.proxmox.inventory.machines.values())
        if len(machines) != 1 or not machines[0].is_template or not self.is_ready(lab):
            yield f"not one ready template alone: {self.standing(lab)}"
        if running := [task.type for task in lab.proxmox.inventory.tasks.values() if task.exitstatus is None]:
            yield f"workers still run: {running}"
        disks = [volume for volume in storages.volumes("local-lvm") if "-disk-" in str(volume["volid"])]
        if len(disks) != 1 or len(storages.volumes("local-lvm")) != 2:
            yield f"volumes: {[volume['volid'] for volume in storages.volumes('local-lvm')]}"
        for machine in machines:
            volid = str(machine.config.get("scsi0", "")).partition(",")[0]
            found = _sha256(storages.path(volid), record.disk.size_bytes)
            if ":base-" not in volid or found != record.disk.sha256:
                yield f"VMID {machine.vmid} has disk {volid} with {found}, not {record.disk.sha256}"
        room = lab.files.directory / "proxmox"
        files = [*(room / "storage/local/import").iterdir(), *(room / "spool").iterdir()]
        # The image that was imported stays, under a name that says which bytes are in it.
        if len(files) != 1:
            yield f"files on the node: {sorted(file.name for file in files)}"


CLOUDS: Mapping[str, Cloud] = {cloud.work: cloud for cloud in (Hetzner(), Proxmox())}


def _sha256(path: Path, size_bytes: int) -> str:
    """Hash the first bytes of a disk: what comes after them is the server's, not the record's."""
    digest, left = hashlib.sha256(), size_bytes
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()
