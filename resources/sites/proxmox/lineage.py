"""What a template says about itself: from which record, seed and run it came.

It stands in the machine's description, as lines for people and a fenced JSON block for programs. Tags are an index
only, and both are copied to every clone: a template is ours where the template flag is set **and** the lineage
names the machine's own VMID (qemu-server copies every key of a configuration but the flag and addresses).
"""

import base64
import re
from datetime import datetime
from typing import Literal, Self

from pydantic import Field, ValidationError

from hyops_assets.contract.canonical import Frozen, Sha256, canonical_json
from hyops_assets.contract.ownership import Claim, seal_of
from hyops_assets.contract.record import Record

SCHEMA = "hyops.template/v1"
TemplateState = Literal["building", "ready"]
SMOKE_TAG = "hyops-smoke"
OUR_TAG = "vyos"
"""On every machine that a seed makes, and on every clone of it: an index, never a proof."""

_LABEL_CHARACTERS = 63
_FENCE = re.compile(r"^```json\n(?P<json>\{.*?\})\n```\s*$", re.MULTILINE | re.DOTALL)


class TemplateLineage(Frozen):
    """The lineage of one machine.

    Attributes:
        state: `ready` from the commit on, which is the last write of a seed.
        smoke: whether a clone of it was booted before the commit, or that the gate was off.
        smoke_of: set on a smoke clone: the template that it was cloned from. A killed run's clone is known by it.
        scratch_for: the VMID that another template of the same record is made for, which ends this one.
        hardware: what it boots from and with, as it stood at the commit: a change by hand is seen by it.
        expires: epoch seconds, when what is still `building` counts as a leftover whichever run made it.
        environment: the id of the environment that made it; None where it does not say, as before such ids were.
        seal: ties that id to the seed (`contract/ownership.py`).
    """

    schema_: Literal["hyops.template/v1"] = Field(default=SCHEMA, alias="schema")
    vmid: int
    node: str
    key: str
    version: str
    record_digest: Sha256
    disk_sha256: Sha256
    qcow2_sha256: Sha256
    source_url: str
    seed_id: str
    run_id: str
    state: TemplateState
    expires: int | None = None
    seeded_at: datetime | None = None
    smoke: Literal["passed", "off"] | None = None
    smoke_of: int | None = None
    scratch_for: int | None = None
    hardware: dict[str, str] | None = None
    lab: bool = False
    environment: str | None = None
    seal: str | None = None

    @property
    def claim(self) -> Claim:
        """What the lineage says about whose it is."""
        return Claim(self.environment, self.seal, self.seed_id, self.record_digest, self.run_id)

    def made_by(self, environment: str) -> Self:
        """Return the lineage as an environment writes it on what it makes."""
        seal = seal_of(environment, seed_id=self.seed_id, record_digest=self.record_digest)
        return self.model_copy(update={"environment": environment, "seal": seal})

    def describes(self, record: Record) -> bool:
        """Whether this is the lineage of a seed of this record: by digests, never by names."""
        return self.record_digest == record.digest and self.disk_sha256 == record.disk.sha256


def description_of(lineage: TemplateLineage) -> str:
    """Return a machine's description: the lineage for people, then for programs."""
    lines = [
        f"VyOS {lineage.version} ({lineage.key}), seeded by HyOps{' in a lab' if lineage.lab else ''}.",
        "",
        f"Disk sha256 `{lineage.disk_sha256}`  ",
        f"Record `{lineage.record_digest}`{'  ' if lineage.environment else ''}",
        *([f"Environment `{lineage.environment}`"] if lineage.environment else []),
        "",
        "```json",
        canonical_json(lineage).decode(),
        "```",
    ]
    return "\n".join(lines)


def parse_lineage(description: str | None) -> TemplateLineage | None:
    """Return the lineage in a description; None where there is none, or one that we did not write.

    Exactly one block counts: two mean that somebody pasted, and nothing can be concluded from them.
    """
    blocks = [match["json"] for match in _FENCE.finditer((description or "").replace("\r\n", "\n"))]
    if len(blocks) != 1:
        return None
    try:
        return TemplateLineage.model_validate_json(blocks[0])
    except ValidationError:
        return None


def tags_of(record: Record) -> str:
    """Return the tags of a template: `vyos`, and the first 12 digits of the disk's digest."""
    return f"{OUR_TAG};{digest_tag(record)}"


def digest_tag(record: Record) -> str:
    """Return the tag that finds a record's templates in a list of machines."""
    return f"vyos-{record.disk.sha256[:12]}"


def is_digest_tag(tag: str) -> bool:
    """Whether a tag is one that finds the templates of some record."""
    return re.fullmatch(r"vyos-[0-9a-f]{12}", tag) is not None


def smbios_of(record: Record) -> str:
    """Return SMBIOS fields by which a running clone is traced from inside: clones keep all but the UUID.

    `serial` stays free: cloud-init's NoCloud reads settings from it.
    """
    fields = {"family": record.disk.sha256, "sku": record.version}
    encoded = (f"{name}={base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    return ",".join(("base64=1", *encoded))


def template_name(record: Record) -> str:
    """Return a template's name: `vyos-1-5-2026-03-03-0027-rolling-r2`.

    One DNS label (RFC 1123: letters, digits, hyphens, at most 63): Proxmox accepts dots, but clones that are not
    renamed get their host name from the first label, which would be `vyos-1`. HybridOps' rule for `template_name`
    holds as well. A key that is too long is cut, the version never.
    """
    version = re.sub(r"[^A-Za-z0-9]+", "-", record.version)
    key = re.sub(r"[^A-Za-z0-9]+", "-", record.key)[: _LABEL_CHARACTERS - len(version) - 1].strip("-")
    return f"{key}-{version}"


def import_file_name(record: Record) -> str:
    """Return the name of the qcow2 on the import storage: it says which bytes are in it.

    `download-url` keeps a file that is there and right, and fails on one that is there and wrong. Proxmox replaces
    what is not `[a-zA-Z0-9_.-]` by `_`; the name is returned as it will stand.
    """
    qcow2 = record.variants["qcow2"]
    stem = qcow2.file_name.removesuffix(".qcow2")
    return re.sub(r"[^a-zA-Z0-9_.-]", "_", f"{stem}-{qcow2.sha256[:12]}.qcow2")
