"""Inputs of the modules that register what is there already: a published record, a template, a snapshot.

What belongs here: what an operator claims of it. Whether it holds is found out where it stands: by the graph for a
record, by the site's client for a template or a snapshot.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.names import RecordKey, Words, number_as_text
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.urls import require_contract_url
from hyops_assets.contract.version import RecordVersion

_VMID_RANGE = (100, 999_999_999)
"""Proxmox' own: smaller ones are reserved (https://pve.proxmox.com/pve-docs/api-viewer/, `vmid`)."""


def _version(text: str) -> str:
    if text:
        _as_value(RecordVersion.parse, text)
    return text


def _as_value(check: Callable[..., object], *arguments: object) -> None:
    """Run one of the contract's checks as a validator."""
    try:
        check(*arguments)
    except Refused as error:
        raise ValueError(error.message) from error


Version = Annotated[str, AfterValidator(_version)]
Digest = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]


class PublishedFile(Frozen):
    """One file that somebody published: its URL, and its SHA-256 as they tell it; empty where they tell none."""

    url: Words
    sha256: Digest = ""


class ArtifactInputs(ModuleInputs):
    """`core/shared/vyos-image-artifact`: register a record that is published already.

    It is named by its `record.json`, or file by file: one with `record_url`, or more than one with
    `record_variants`, as the outputs of a build name them.
    """

    record_key: RecordKey = "vyos-1.5"
    record_version: Version = Field(default="", description="of the record; its release is the one on the disk")
    record_document_url: Words = Field(default="", description="https URL of the record's record.json")
    record_url: Words = Field(default="", description="https URL of one variant")
    record_format: VariantFormat = Field(default="qcow2", description="of the file behind record_url")
    record_sha256: Digest = Field(default="", description="of that file; computed and reported where it is empty")
    record_variants: dict[VariantFormat, PublishedFile] = Field(
        default={}, description="url and sha256 by format, instead of record_url"
    )
    source_iso_url: Words = Field(default="", description="what it was built from, as its builder says; noted only")

    @property
    def files(self) -> dict[VariantFormat, PublishedFile]:
        """The files that were named one by one."""
        if self.record_url:
            return {self.record_format: PublishedFile(url=self.record_url, sha256=self.record_sha256)}
        return dict(self.record_variants)

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        named = [name for name in ("record_document_url", "record_url", "record_variants") if getattr(self, name)]
        if len(named) != 1:
            message = (
                f"set one of record_document_url, record_url and record_variants (set: {', '.join(named) or '-'})"
            )
            raise ValueError(message)
        if not self.record_version:
            raise ValueError("record_version: name the version that is published")
        if self.record_sha256 and not self.record_url:
            raise ValueError("record_sha256 is that of the file behind record_url")
        version = RecordVersion.parse(self.record_version)
        for url in (self.record_document_url, *(file.url for file in self.files.values())):
            if url:
                _as_value(require_contract_url, url, version)
                _require_https(url)
        return self


class TemplateImportInputs(ModuleInputs):
    """`core/onprem/vyos-template-import`: a template that stands on a Proxmox site becomes a state.

    Name, version and source are claims: what the template itself says must agree with them.
    """

    takes: ClassVar[VariantFormat] = "qcow2"
    cloud: ClassVar[str] = "proxmox"

    template_key: RecordKey = "vyos-1.5"
    template_vm_id: int = Field(strict=True, ge=_VMID_RANGE[0], le=_VMID_RANGE[1])
    template_name: Words = ""
    template_image_version: Version = ""
    template_source_url: Words = ""
    site: Words = Field(default="", description="a site of pipeline.yml; the default site where empty")

    @model_validator(mode="after")
    def _source_names_the_version(self) -> Self:
        _require_source("template", self.template_source_url, self.template_image_version)
        return self


class ImageRegisterInputs(ModuleInputs):
    """`core/hetzner/vyos-image-register`: a snapshot in a Hetzner Cloud project becomes a state."""

    takes: ClassVar[VariantFormat] = "raw.xz"
    cloud: ClassVar[str] = "hetzner"

    image_key: RecordKey = "vyos-1.5"
    image_ref: Annotated[str, BeforeValidator(number_as_text), StringConstraints(pattern=r"^[1-9][0-9]{0,18}$")] = (
        Field(description="the snapshot's id: what the state of a seed calls image_ref")
    )
    image_version: Version = ""
    image_source_url: Words = ""
    site: Words = Field(default="", description="a site of pipeline.yml; the default site where empty")

    @model_validator(mode="after")
    def _source_names_the_version(self) -> Self:
        _require_source("image", self.image_source_url, self.image_version)
        return self


def _require_https(url: str) -> None:
    if not url.startswith("https://"):
        message = f"{url} is not https: a record is registered from where every site can read it"
        raise ValueError(message)


def _require_source(word: str, url: str, version: str) -> None:
    if not url:
        return
    if not version:
        label = "template_image_version" if word == "template" else "image_version"
        message = f"{word}_source_url needs {label}: the version that it holds"
        raise ValueError(message)
    _as_value(require_contract_url, url, RecordVersion.parse(version))
