"""HyOps module states: the payload and the outputs that other modules consume.

Keys as in HybridOps. Outputs carry the source document's names (`record_*`) and, for HybridOps' own modules, the
same under `artifact_*` (source document, "Published outputs").
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_serializer

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import FORMATS, VariantFormat

Status = Literal["running", "ok", "error", "destroyed", "detached"]
Outputs = dict[str, JsonValue]


class ModuleState(BaseModel):
    """One state file.

    `ok` may be consumed, and so may `error` over former outputs, which it keeps (`consumed.may_be_consumed`).

    `environment_id` is that of the environment which wrote it; older states name none. `before` stands in it while a
    run lasts: what was settled last, without its outputs, or that there was nothing.
    """

    model_config = ConfigDict(extra="allow")

    module_ref: str
    run_id: str
    status: Status
    updated_at: datetime
    state_instance: str | None = None
    execution: dict[str, str] = Field(default_factory=lambda: {"driver": "dagster", "profile": "asset-graph"})
    requirements: dict[str, list[str]] = Field(default_factory=lambda: {"credentials": []})
    dependencies: list[str] = []
    outputs: Outputs = {}
    output_count: int = 0
    evidence_dir: str = ""
    environment_id: str | None = None
    before: "ModuleState | Literal['nothing'] | None" = None

    @field_serializer("updated_at")
    def _utc(self, value: datetime) -> str:
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def record_outputs(contract: Contract, *, source_iso_url: str = "") -> Outputs:
    """Return the outputs of a build: what `record_state_ref` resolves to.

    `source_iso_url` and `artifact_local_path` are outputs of HybridOps' module, and blank rather than absent: what a
    state does not say at all, a rerun there keeps from its own inputs.
    """
    record = contract.record
    # The qcow2 is what HybridOps' modules call the record; one that was registered may have the other variant alone.
    first: VariantFormat = next(format_ for format_ in FORMATS if format_ in contract.urls)
    variants: JsonValue = {
        format_: {
            "url": contract.urls[format_],
            "sha256": variant.sha256,
            "size_bytes": variant.size_bytes,
            "file_name": variant.file_name,
        }
        for format_, variant in record.variants.items()
    }
    entry: Outputs = {
        "key": record.key,
        "url": contract.urls[first],
        "format": first,
        "version": record.version,
        "sha256": record.variants[first].sha256,
        "digest": contract.record_digest,
        "variants": variants,
        "local_path": "",
    }
    outputs: Outputs = {
        "source_iso_url": source_iso_url,
        "disk_sha256": record.disk.sha256,
        "disk_size_bytes": record.disk.size_bytes,
        "iso_sha256": record.iso_sha256,
        "record_document_url": contract.record_url or None,
        "evidence_url": contract.evidence_url or None,
        "sbom_url": contract.sbom_url or None,
        "lab": record.lab,
    }
    for word in ("record", "artifact"):
        named: Outputs = {f"{word}_{name}": value for name, value in entry.items()}
        outputs |= named
        others = _raw_xz_artifact(contract, source_iso_url) if word == "artifact" else {}
        outputs[f"{word}s"] = {record.key: named | {"source_iso_url": source_iso_url}, **others}
    return outputs


def _raw_xz_artifact(contract: Contract, source_iso_url: str) -> Outputs:
    """Return the raw.xz as an artifact of its own: HybridOps' modules know one file to a key.

    Its Hetzner seed imports it without a wrapper where `artifact_key` is `<record key>.raw.xz`.
    """
    record = contract.record
    if "raw.xz" not in contract.urls:
        return {}
    return {
        f"{record.key}.raw.xz": {
            "artifact_key": f"{record.key}.raw.xz",
            "artifact_url": contract.urls["raw.xz"],
            "artifact_format": "raw",
            "artifact_version": record.version,
            "artifact_sha256": record.variants["raw.xz"].sha256,
            "artifact_local_path": "",
            "source_iso_url": source_iso_url,
        }
    }


def template_outputs(contract: Contract, *, vmid: int, name: str, node: str, seeded: bool) -> Outputs:
    """Return the outputs of a template seed. `seeded` is true only when this run wrote the template."""
    standing = standing_template_outputs(
        key=contract.record.key,
        vmid=vmid,
        name=name,
        node=node,
        version=contract.record.version,
        source_url=contract.urls["qcow2"],
    )
    return {**standing, "template_seeded": seeded, **_lineage(contract)}


def standing_template_outputs(*, key: str, vmid: int, name: str, node: str, version: str, source_url: str) -> Outputs:
    """Return what a state says of a template, of any maker; `version` and `source_url` are empty where unknown."""
    entry: Outputs = {
        "template_vm_id": vmid,
        "template_name": name,
        "template_image_version": version,
        "template_source_url": source_url,
    }
    return {
        **entry,
        "template_key": key,
        "template_node": node,
        "templates": {key: {**entry, "notes": f"node {node}"}},
    }


def image_outputs(contract: Contract, *, image_ref: str, name: str, description: str, seeded: bool) -> Outputs:
    """Return the outputs of an image seed. `image_ref` is the snapshot's id, as a string."""
    standing = standing_image_outputs(
        key=contract.record.key,
        image_ref=image_ref,
        name=name,
        description=description,
        version=contract.record.version,
        # A record without raw.xz was wrapped.
        source_url=contract.urls.get("raw.xz") or contract.urls["qcow2"],
    )
    return {**standing, "image_seeded": seeded, **_lineage(contract)}


def standing_image_outputs(
    *, key: str, image_ref: str, name: str, description: str, version: str, source_url: str
) -> Outputs:
    """Return what a state says of a snapshot, of any maker; `version` and `source_url` are empty where unknown."""
    entry: Outputs = {
        "image_ref": image_ref,
        "image_name": name,
        "image_description": description,
        "image_version": version,
        "image_source_url": source_url,
    }
    return {**entry, "image_key": key, "images": {key: entry}}


def found_lineage(*, version: str, record_digest: str | None, disk_sha256: str | None, lab: bool) -> Outputs:
    """Return what a state says of the record behind something that was found: None is what it does not tell."""
    return {"record_version": version, "record_digest": record_digest, "disk_sha256": disk_sha256, "lab": lab}


def require_lab_slot(existing: ModuleState | None, *, lab: bool, where: str) -> None:
    """Refuse to let a lab overwrite a state slot that it did not write.

    Raises:
        Refused: the slot holds a state that no lab wrote.
    """
    if lab and existing is not None and existing.outputs and not existing.outputs.get("lab"):
        raise Refused(
            f"{where} holds a state that no lab wrote",
            hint="run the lab in another environment: hyops lab up --env lab",
        )


def _lineage(contract: Contract) -> Outputs:
    return found_lineage(
        version=contract.record.version,
        record_digest=contract.record_digest,
        disk_sha256=contract.record.disk.sha256,
        lab=contract.record.lab,
    )
