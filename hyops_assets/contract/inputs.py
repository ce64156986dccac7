"""Inputs of the modules: what an operator may ask for, validated before anything is touched.

Names are the source document's (`record_*`); HybridOps' `artifact_*` are aliases. A placeholder left in an example is
refused wherever it stands, and so is a key that nobody reads: an ignored input is a lie.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.version import RecordVersion, require_key

_PLACEHOLDER = re.compile(r"CHANGE_ME|REPLACE_ME|YOUR_VALUE", re.IGNORECASE)


class BadInputs(Refused):
    """Inputs that a module cannot work with; the message names every wrong key."""


class ModuleInputs(Frozen):
    """What every module takes."""

    required_env: tuple[str, ...] = ()
    notes: str = ""


class BuildInputs(ModuleInputs):
    """`core/shared/vyos-image-build`: build one record and publish its contract."""

    record_key: str = "vyos-1.5"
    record_format: Literal["qcow2"] = "qcow2"
    record_version: str = ""
    source_iso_url: str = ""
    record_url: str = Field(default="", description="a disk that was built elsewhere, to be taken over; https")
    record_local_path: str = Field(default="", description="the same, as a file on this host")
    record_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="of that file")
    repo_state_ref: str = ""
    allow_iso_build: bool = False

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
        return self

    @model_validator(mode="after")
    def _iso_build_is_on_purpose(self) -> "BuildInputs":
        path = urlsplit(self.source_iso_url).path
        if path.endswith(".iso") and not self.allow_iso_build:
            raise ValueError("ISO build is disabled by default: set allow_iso_build to true")
        return self


class SeedInputs(ModuleInputs):
    """What both seeds take: the record by reference, and the site."""

    record_state_ref: str
    record_key: str = "vyos-1.5"
    site: str = Field(default="", description="a site of pipeline.yml; the default site where empty")

    @field_validator("record_state_ref")
    @classmethod
    def _reference(cls, value: str) -> str:
        _checked(StateRef.parse, value)
        return value


class TemplateSeedInputs(SeedInputs):
    """`core/onprem/vyos-template-seed`: one record as a template on one Proxmox site."""


class ImageSeedInputs(SeedInputs):
    """`core/hetzner/vyos-image-seed`: one record as a snapshot in one Hetzner project."""


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
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'inputs'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise BadInputs(f"inputs of {module}: {wrong}", hint=f"see modules/{module}/spec.yml") from error


def fold_aliases(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with HybridOps' `artifact_*` names replaced by `record_*`.

    Raises:
        BadInputs: both names are set, to different values.
    """
    folded = {key: value for key, value in given.items() if not key.startswith("artifact_")}
    for key, value in given.items():
        if key.startswith("artifact_"):
            name = f"record_{key.removeprefix('artifact_')}"
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
