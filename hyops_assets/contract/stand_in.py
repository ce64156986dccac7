"""A contract that stands for any other, where only the shape of what is made of it counts: in specs."""

from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import Disk, Record, Variant

_VERSION = "2026.03.03-0027-rolling"
_BASE = f"https://storage.googleapis.com/hyops-dev-vyos-records-a1/network/vyos/vyos-1.5-{_VERSION}"
_DIGEST = "0" * 64


def contract() -> Contract:
    """Return the contract of the source document's example, with digests of nothing."""
    files = {"qcow2": f"{_BASE}.qcow2", "raw.xz": f"{_BASE}.raw.xz"}
    record = Record.model_validate(
        {
            "key": "vyos-1.5",
            "version": _VERSION,
            "disk": Disk(size_bytes=512, sha256=_DIGEST),
            "variants": {
                format_: Variant(file_name=url.rsplit("/", 1)[-1], size_bytes=1, sha256=_DIGEST)
                for format_, url in files.items()
            },
        }
    )
    return Contract.model_validate(
        {
            "record": record,
            "record_digest": record.digest,
            "record_url": f"{_BASE}.record.json",
            "evidence_url": f"{_BASE}.evidence-run.json",
            "sbom_url": f"{_BASE}.sbom-run.cdx.json",
            "urls": files,
            "signature": None,
        }
    )
