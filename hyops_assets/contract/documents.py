"""The documents that assets hand on inside one version: small, typed, and pointing at blobs by digest."""

from pydantic import JsonValue

from hyops_assets.contract.canonical import Frozen, Sha256
from hyops_assets.contract.evidence import SignedIso
from hyops_assets.contract.record import Disk, Record, Variant
from hyops_assets.contract.version import RecordVersion


class BuiltRecord(Frozen):
    """A built disk as its qcow2 variant, and what went into it.

    ISO, package lock, helper and squashfs are None for a disk that was built elsewhere and only taken over.
    `dpkg_status_sha256` is of the guest's /var/lib/dpkg/status, which the artifact store holds; `epoch` is when the
    squashfs was made, in seconds since 1970.
    `recipe_digest` covers everything that decides the bytes but the package lock: ISO, helper, disk size, console,
    package names, build method and the builder's version. A later run with the same recipe adopts the disk.
    """

    version: str
    disk: Disk
    qcow2: Variant
    iso: SignedIso | None = None
    lock_sha256: Sha256 | None = None
    helper_sha256: Sha256 | None = None
    squashfs_sha256: Sha256 | None = None
    dpkg_status_sha256: Sha256
    epoch: int
    recipe_digest: Sha256
    build: dict[str, JsonValue]

    @property
    def release(self) -> str:
        """The VyOS release on the disk."""
        return RecordVersion.parse(self.version).release


class CandidateRecord(Frozen):
    """A record with both variants, not yet published, and how it was built."""

    record: Record
    built: BuiltRecord


class SeededAt(Frozen):
    """What a seed left, or found, at a site: `ref` is the VMID or the snapshot's id, as a string.

    `environment` is the id of the one that made it; None where unknown: older versions wrote no id.
    """

    site: str
    ref: str
    version: str
    record_digest: Sha256
    disk_sha256: Sha256
    environment: str | None = None
