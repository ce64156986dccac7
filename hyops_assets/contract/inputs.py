"""Inputs of the modules: what an operator may ask for, validated before anything is touched.

Names are the source document's (`record_*`); HybridOps' `artifact_*` are aliases. A placeholder left in an example is
refused wherever it stands, and so is an unread key: an ignored input is a lie.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from urllib.parse import unquote

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from hyops_assets.contract.build_options import BuildOptions
from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.handed_over import BuildCommands, SeedCommand
from hyops_assets.contract.hybridops_inputs import without_hybridops
from hyops_assets.contract.names import Text, Words
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.references import OBJECT_REPO, StateRef
from hyops_assets.contract.seed_options import SnapshotOptions, TemplateOptions
from hyops_assets.contract.urls import require_contract_url
from hyops_assets.contract.version import RecordVersion, require_key
from hyops_assets.contract.wrong_values import wrong_values

GCS_KEY_VARIABLES = ("HYOPS_VYOS_GCS_SA_JSON_FILE", "HYOPS_VYOS_GCS_SA_JSON")
"""Where a service account's key is taken from: the file before the text (source document, prerequisites)."""
S3_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""The two halves of a key of an S3 service, as every tool for one reads them."""

_PLACEHOLDER = re.compile(r"CHANGE_ME|REPLACE_ME|YOUR_VALUE", re.IGNORECASE)


class BadInputs(Refused):
    """Inputs that a module cannot work with; the message names every wrong key."""


class ModuleInputs(Frozen):
    """What every module takes.

    Attributes:
        takes: the variant of a record that the module works with.
        cloud: the section below `sites` in `pipeline.yml` at one of whose sites it works; empty where at none.
        required_env: names of variables that must be set; their values stand in no file.
        notes: for people.
    """

    takes: ClassVar[VariantFormat] = "qcow2"
    cloud: ClassVar[str] = ""

    required_env: tuple[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)], ...
    ] = Field(default=(), description="names of variables that must be set; never their values")
    notes: Text = Field(default="", description="for people")

    @model_validator(mode="before")
    @classmethod
    def _no_input_of_another_way(cls, given: Any) -> Any:
        return without_hybridops(given, cls.model_fields)


class BuildInputs(ModuleInputs, BuildCommands, BuildOptions):
    """`core/shared/vyos-image-build`: build one record and publish its contract."""

    record_key: Words = Field(
        default="vyos-1.5",
        description="of the release's line: build.record_key or build.stream_record_key of pipeline.yml",
    )
    record_format: Literal["qcow2"] = Field(
        default="qcow2", description="of record_url in the outputs; raw.xz is made too, always"
    )
    record_version: Words = Field(
        default="",
        validate_default=True,
        description="the release to build, or a revision of it (…-r2); required",
    )
    source_iso_url: Words = Field(
        default="", description="the ISO, from a host of feed.iso_hosts; what the feed announces where empty"
    )
    record_local_path: str = Field(
        default="",
        pattern=r"^([^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f])?$",
        max_length=4096,
        description="a disk that was built elsewhere, as a file on this host; not read beside build_command, which "
        "finds where to write in $HYOPS_VYOS_ARTIFACT_LOCAL_PATH",
    )
    repo_state_ref: Words = Field(default="", description="state of the object repository; pipeline.yml's where empty")
    allow_iso_build: bool = Field(default=False, description="needed by a source_iso_url")

    @model_validator(mode="before")
    @classmethod
    def _a_command_writes_where_ours_says(cls, given: Any) -> Any:
        # HybridOps' build modules name the command's output by it; ours is a fresh path in the step's own directory.
        if isinstance(given, dict) and given.get("build_command") and not given.get("record_url"):
            return {name: value for name, value in given.items() if name != "record_local_path"}
        return given

    @field_validator("record_key")
    @classmethod
    def _key(cls, value: str) -> str:
        return _checked(require_key, value)

    @field_validator("record_version")
    @classmethod
    def _version(cls, value: str) -> str:
        if not value:
            raise ValueError("name the release to build, such as 2026.03.03-0027-rolling")
        _checked(RecordVersion.parse, value)
        return value

    @field_validator("repo_state_ref")
    @classmethod
    def _reference(cls, value: str) -> str:
        if value:
            _checked(StateRef.parse, value)
        return value

    @model_validator(mode="after")
    def _one_source(self) -> "BuildInputs":
        if sum(bool(source) for source in (self.source_iso_url, self.record_url, self.record_local_path)) > 1:
            raise ValueError("set one of source_iso_url, record_url and record_local_path")
        if self.record_url and not self.record_sha256:
            raise ValueError("record_url needs record_sha256: what a URL answers is anyone's disk otherwise")
        if self.build_command and self.record_url:
            raise ValueError("build_command makes a disk, and record_url names one that is made: set one of them")
        return self

    @model_validator(mode="after")
    def _iso_build_is_on_purpose(self) -> "BuildInputs":
        # In whatever spelling: a server and a file system read what is written.
        path = unquote(self.source_iso_url.partition("#")[0].partition("?")[0])
        if path.lower().endswith(".iso") and not self.allow_iso_build:
            raise ValueError("ISO build is disabled by default: set allow_iso_build to true")
        return self

    @model_validator(mode="after")
    def _key_for_the_bucket_is_named(self) -> "BuildInputs":
        # By reference only: where pipeline.yml names the bucket, the tools' own credentials serve as well.
        in_gcs = bool(self.repo_state_ref) and StateRef.parse(self.repo_state_ref).module == OBJECT_REPO
        if in_gcs and not set(GCS_KEY_VARIABLES) & set(self.required_env):
            message = (
                f"publishing to {self.repo_state_ref} needs required_env to list {' or '.join(GCS_KEY_VARIABLES)}"
            )
            raise ValueError(message)
        return self


class SeedInputs(ModuleInputs, SeedCommand):
    """What both seeds take: a record, by reference or file by file, and the site.

    A reference decides about everything else that says which record it is (`contract.resolution`). Without one, a URL
    counts, with the digest of its bytes and the version it holds.
    """

    record_state_ref: Words = Field(default="", description="state of a build, or of a registered record")
    record_key: Words = Field(default="vyos-1.5", description="which record of that state")
    record_url: Words = Field(default="", description="as image_source_url")
    record_format: Literal["", "qcow2", "raw.xz", "raw", "img"] = Field(
        default="", description="decided by the site: qcow2 for Proxmox, raw.xz for Hetzner"
    )
    record_version: Words = Field(default="", description="that the URL holds")
    record_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="of the file that the URL names")
    source_iso_url: Words = Field(default="", description="noted only")
    image_source_url: Words = Field(default="", description="counts only without record_state_ref")
    site: Words = Field(default="", description="a site of pipeline.yml; the default site where empty")

    @field_validator("record_key")
    @classmethod
    def _key(cls, value: str) -> str:
        return _checked(require_key, value)

    @field_validator("record_state_ref")
    @classmethod
    def _reference(cls, value: str) -> str:
        if value:
            _checked(StateRef.parse, value)
        return value

    @property
    def source_url(self) -> str:
        """Where the record's file is: what `record_state_ref` decided, else what was given."""
        return next(iter(self._source_urls().values()), "")

    def _source_urls(self) -> dict[str, str]:
        """Return the URLs that these inputs name, by input."""
        named = {"image_source_url": self.image_source_url, "record_url": self.record_url}
        return {name: url for name, url in named.items() if url}

    @model_validator(mode="after")
    def _one_record(self) -> Self:
        urls = self._source_urls()
        if self.record_state_ref:
            return self
        if not urls:
            raise ValueError("set record_state_ref, or image_source_url with record_version and record_sha256")
        if len(set(urls.values())) > 1:
            message = f"{' and '.join(urls)} name different files: set one of them"
            raise ValueError(message)
        if not self.record_version:
            raise ValueError("without record_state_ref a URL needs record_version: the version that it holds")
        if not self.record_sha256:
            raise ValueError("without record_state_ref a URL needs record_sha256: it answers anyone's disk otherwise")
        version = _checked(RecordVersion.parse, self.record_version)
        _checked(lambda url: require_contract_url(url, version), self.source_url)
        return self


class TemplateSeedInputs(SeedInputs, TemplateOptions):
    """`core/onprem/vyos-template-seed`: one record as a template on one Proxmox site."""

    cloud: ClassVar[str] = "proxmox"

    @model_validator(mode="after")
    def _a_command_has_no_options(self) -> Self:
        # Compared, not "was it given": from a shell the module's defaults lie below what is typed.
        fields = TemplateOptions.model_fields.items()
        said = [name for name, field in fields if getattr(self, name) != field.get_default(call_default_factory=True)]
        if self.seed_command and not self.record_state_ref and said:
            message = f"seed_command makes the template: {', '.join(said)} would not count beside it"
            raise ValueError(message)
        return self

    template_source_url: Words = Field(default="", description="as image_source_url")

    def _source_urls(self) -> dict[str, str]:
        own = {"template_source_url": self.template_source_url} if self.template_source_url else {}
        return own | super()._source_urls()


class ImageSeedInputs(SeedInputs, SnapshotOptions):
    """`core/hetzner/vyos-image-seed`: one record as a snapshot in one Hetzner project.

    A wrapper's URL says on purpose that this host may wrap a qcow2 where the record has no raw.xz.
    """

    takes: ClassVar[VariantFormat] = "raw.xz"
    cloud: ClassVar[str] = "hetzner"

    seed_wrapper_public_base_url: Words = Field(
        default="", description="of this host, from outside: a record without raw.xz is wrapped and served here"
    )
    seed_wrapper_bind_port: int = Field(default=18080, ge=1, le=65535, description="that this host serves it on")

    @model_validator(mode="after")
    def _a_command_is_told_nothing_of_ours(self) -> Self:
        ours = (*sorted(SnapshotOptions.model_fields.keys() - {"seed_if_missing"}), "seed_wrapper_public_base_url")
        given = [name for name in ours if getattr(self, name)]
        if self.seed_command and not self.record_state_ref and given:
            message = f"seed_command seeds by itself: {', '.join(given)} would not count"
            raise ValueError(message)
        return self


Inputs = TypeVar("Inputs", bound=ModuleInputs)


def read_inputs(module: str, model: type[Inputs], given: Mapping[str, Any]) -> Inputs:
    """Validate the inputs of a module against its model.

    Raises:
        BadInputs: wrong inputs: every one of them is named.
    """
    placeholders = [key for key, value in given.items() if _PLACEHOLDER.search(str(value).replace("-", "_"))]
    if placeholders:
        raise BadInputs(f"placeholders are left in: {', '.join(placeholders)}", hint="put real values there")
    try:
        return model.model_validate(fold_aliases(given))
    except ValidationError as error:
        raise BadInputs(
            f"inputs of {module}: {wrong_values(error, 'inputs')}", hint=f"see modules/{module}/spec.yml"
        ) from error


def fold_aliases(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with HybridOps' `artifact_*` names replaced by `record_*`. A blank says nothing.

    Raises:
        BadInputs: both names are set, to different values; or a name is no text.
    """
    strange = [repr(key) for key in given if not isinstance(key, str)]
    if strange:
        raise BadInputs(f"these are no names of inputs: {', '.join(strange)}", hint="write key: value lines")
    folded = {key: value for key, value in given.items() if not key.startswith("artifact_")}
    for key, value in given.items():
        name = f"record_{key.removeprefix('artifact_')}"
        if not key.startswith("artifact_") or (value in (None, "") and name in folded):
            continue
        if folded.get(name) not in (None, "", value):
            raise BadInputs(f"{name} and {key} are set to different values", hint=f"set {name} only")
        folded[name] = value
    return folded


def _checked(check: Any, value: str) -> Any:
    """Run one of the contract's own checks as a validator."""
    try:
        return check(value)
    except Refused as error:
        raise ValueError(error.message) from error
