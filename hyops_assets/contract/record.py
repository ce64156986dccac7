"""The record: the identity of one published image. Schema `hyops.record/v1`.

Identity only. How it came to be (tools, accelerator, times, signature) is evidence and stands beside it
(`evidence.py`): an honest rebuild with another qemu has other evidence and the same identity.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from hyops_assets.contract.canonical import Frozen, Sha256, digest_of
from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion, require_key

SCHEMA = "hyops.record/v1"
VariantFormat = Literal["qcow2", "raw.xz"]
FORMATS: tuple[VariantFormat, ...] = ("qcow2", "raw.xz")
"""The published variants: qcow2 for Proxmox, raw.xz for Hetzner. Adding one is adding a row."""

MOST_DISK_BYTES = 1 << 40
"""No edge router's disk is larger; a file from elsewhere that claims more would fill the host's disk."""


class Disk(Frozen):
    """The guest-visible disk, all its bytes: zeros included."""

    size_bytes: int = Field(gt=0, le=MOST_DISK_BYTES, multiple_of=512)
    sha256: Sha256


class Variant(Frozen):
    """One published file that decodes to the record's disk."""

    file_name: str
    size_bytes: int = Field(gt=0, le=2 * MOST_DISK_BYTES)
    sha256: Sha256


class Record(Frozen):
    """One record, one disk: what is published under a version, byte for byte.

    `iso_sha256`, `overlay_lock_sha256` and `helper_sha256` are None, all of them, for a record that was built
    elsewhere and only registered here. `lab` marks what a lab key signed; it is refused outside a lab.
    """

    schema_: Literal["hyops.record/v1"] = Field(default=SCHEMA, alias="schema")
    key: str
    version: str
    architecture: Literal["amd64"] = "amd64"
    disk: Disk
    variants: dict[VariantFormat, Variant]
    iso_sha256: Sha256 | None = None
    overlay_lock_sha256: Sha256 | None = None
    helper_sha256: Sha256 | None = None
    lab: bool = False

    @model_validator(mode="after")
    def _names_follow_the_version(self) -> Self:
        require_key(self.key)
        for format_, variant in self.variants.items():
            expected = published_name(self.key, self.record_version, format_).rsplit("/", 1)[-1]
            if variant.file_name != expected:
                message = f"variant {format_} is named {variant.file_name!r}, not {expected!r}"
                raise ValueError(message)
        source = (self.iso_sha256, self.overlay_lock_sha256, self.helper_sha256)
        if any(source) and not all(source):
            raise ValueError("source and build digests stand together or not at all")
        return self

    @property
    def record_version(self) -> RecordVersion:
        """The version, parsed."""
        return RecordVersion.parse(self.version)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of this identity: the `record_digest` of seeds and audits."""
        return digest_of(self)
