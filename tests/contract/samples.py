"""A record and what surrounds it, for tests that need one and do not care which."""

import hashlib
from datetime import UTC, datetime

from hyops_assets.contract.evidence import Contract, SignatureFacts
from hyops_assets.contract.record import Disk, Record, Variant

VERSION = "2026.03.03-0027-rolling"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def record(version: str = VERSION, *, lab: bool = False, disk: str = "disk") -> Record:
    return Record(
        key="vyos-1.5",
        version=version,
        disk=Disk(size_bytes=4 << 30, sha256=sha256(disk)),
        variants={
            "qcow2": Variant(file_name=f"vyos-1.5-{version}.qcow2", size_bytes=10, sha256=sha256("qcow2")),
            "raw.xz": Variant(file_name=f"vyos-1.5-{version}.raw.xz", size_bytes=9, sha256=sha256("raw.xz")),
        },
        iso_sha256=sha256("iso"),
        overlay_lock_sha256=sha256("lock"),
        helper_sha256=sha256("helper"),
        lab=lab,
    )


def signature() -> SignatureFacts:
    return SignatureFacts(
        key_name="vyos-rolling",
        key_id="0D3643767F448688",
        public_key="RWSIhkR/dkM2DSaBRniv/bbbAf8hmDqdbOEmgXkf1RxRoxzodgKcDyGq",
        algorithm="prehashed",
        trusted_comment=f"timestamp:1772497620\tfile:vyos-{VERSION}-generic-amd64.iso\thashed",
        file_name=f"vyos-{VERSION}-generic-amd64.iso",
        signed_at=datetime(2026, 3, 3, 0, 27, tzinfo=UTC),
        minisig="untrusted comment: …",
    )


def contract(version: str = VERSION, *, lab: bool = False) -> Contract:
    base = "https://storage.googleapis.com/hyops-dev-vyos-records-a1/network/vyos"
    made = record(version, lab=lab)
    return Contract(
        record=made,
        record_digest=made.digest,
        record_url=f"{base}/vyos-1.5-{version}.record.json",
        evidence_url=f"{base}/vyos-1.5-{version}.evidence-run.json",
        sbom_url=f"{base}/vyos-1.5-{version}.sbom-run.cdx.json",
        urls={
            "qcow2": f"{base}/vyos-1.5-{version}.qcow2",
            "raw.xz": f"{base}/vyos-1.5-{version}.raw.xz",
        },
        signature=signature(),
    )
