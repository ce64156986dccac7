"""`hyops lab boot`: start from what was seeded into the lab, and see cloud-init's result."""

from rich.table import Table

from hyops_assets.cli.environment import Place
from hyops_assets.cli.progress import busy, in_bytes
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.references import IMAGE_SEED, StateRef
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.boot.verdict import Firmware
from hyops_lab.booted import boot_disk
from hyops_lab.cli.lab import require_lab
from hyops_lab.ensemble import LabFiles
from hyops_lab.hetzner.project import Project
from resources.states.store import StateStore


def boot_image(place: Place, *, uefi: bool) -> None:
    """Boot the snapshot that the state of the Hetzner seed names, and print what the guest proved.

    Raises:
        BadUsage: the environment has no lab.
        Refused: no state names a snapshot of the lab.
        NothingToBoot, BootFailed: as `boot_disk` does.
    """
    require_lab(place)
    ref = StateRef(IMAGE_SEED)
    state = StateStore(place.root).find(ref)
    outputs = state.outputs if state is not None and state.status == "ok" else {}
    if not outputs.get("lab"):
        raise Refused(f"{ref} names no snapshot of a lab", hint="seed one first: hyops demo")
    image_ref, version = str(outputs["image_ref"]), RecordVersion.parse(str(outputs["record_version"]))
    disk = Project(LabFiles(place.root.lab).directory / "hetzner").image_disk(int(image_ref))
    firmware: Firmware = "uefi" if uefi else "bios"
    with busy(place.console, f"snapshot {image_ref}", ends=False) as step:
        proof = boot_disk(disk, release=version.release, scratch=place.root.lab, firmware=firmware, progress=step)
    table = Table(title=f"snapshot {image_ref}: cloud-init ended after {proof.seconds:.0f} s", title_justify="left")
    table.add_column("what")
    table.add_column("found in the guest", overflow="fold")
    # The snapshot's own digest, from its seed: the guest writes into a layer over it, and grows what it finds.
    table.add_row("disk_sha256 of the record", str(outputs.get("disk_sha256", "unknown")))
    for name, value in proof.report.items():
        shown = in_bytes(int(str(value))) if name.endswith("_bytes") else str(value)
        table.add_row(name, shown)
    place.console.print(table)
