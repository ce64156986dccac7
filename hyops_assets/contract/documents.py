"""The documents that assets hand on inside one version: small, typed, and pointing at blobs by digest."""

from pydantic import JsonValue

from hyops_assets.contract.canonical import Frozen, Sha256
from hyops_assets.contract.evidence import SignedIso
from hyops_assets.contract.record import Disk, Record, Variant


class BuiltRecord(Frozen):
    """A built disk as its qcow2 variant, and what went into it.

    `dpkg_status_sha256` is of the guest's /var/lib/dpkg/status, which the artifact store holds.
    `recipe_digest` covers everything that decides the bytes but the package lock: ISO, helper, disk size, console,
    package names, build method and the builder's version. A later run with the same recipe adopts the disk.
    """

    version: str
    iso: SignedIso
    disk: Disk
    qcow2: Variant
    lock_sha256: Sha256
    helper_sha256: Sha256
    squashfs_sha256: Sha256
    dpkg_status_sha256: Sha256
    recipe_digest: Sha256
    build: dict[str, JsonValue]


class CandidateRecord(Frozen):
    """A record with both variants, not yet published, and how it was built."""

    record: Record
    built: BuiltRecord


class SeededAt(Frozen):
    """What a seed left at a site: `ref` is the VMID or the snapshot's id, as a string."""

    site: str
    ref: str
    version: str
    record_digest: Sha256
    disk_sha256: Sha256
