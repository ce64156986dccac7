"""`org/gcp/object-repo`: the bucket that records are published into, as a module's inputs and as a state.

The state is what `repo_state_ref` leads to: it says where objects go and under which URL anyone reads them. Keys of
who publishes stand in no input and in no state. A state may name a bucket of S3 instead (`repo_backend: s3`).
"""

import shlex
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, ValidationError, field_validator

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.names import MOST_DAYS, OptionalHttpsOrigin, OptionalHttpsUrl, Words, require_bucket
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import Outputs
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.settings.repository import RepositorySettings

DEFAULT_REPOSITORY_INSTANCE = "vyos_records"
"""The instance that the source document's prerequisites name."""

PUBLIC_ENDPOINT = "https://storage.googleapis.com"

ProjectId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]


class BadRepository(HyopsError):
    """A state that should say where records are published, and does not."""


class ObjectRepoInputs(ModuleInputs):
    """`org/gcp/object-repo`: a bucket of Google Cloud Storage that anyone may read and one account may add to."""

    project_id: ProjectId
    bucket_name: Annotated[
        str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"), AfterValidator(require_bucket)
    ]
    location: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{1,62}$", to_upper=True)] = "EU"
    storage_class: Literal["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"] = "STANDARD"
    uniform_bucket_level_access: bool = True
    versioning_enabled: bool = False
    lifecycle_delete_age_days: int = Field(
        default=0,
        ge=0,
        le=MOST_DAYS,
        description="days after which objects are removed; 0: never, as published names are promised",
    )
    retention_days: int = Field(
        default=0, ge=0, le=36525, description="days in which an object cannot be removed; 0: no such policy"
    )
    public_read: bool = Field(default=True, description="let anyone read objects; sites fetch records without a key")
    service_account_id: ProjectId = "objectrepo"
    service_account_display_name: Words = "Object Repository"
    endpoint: OptionalHttpsOrigin = Field(
        default="", description="of the storage API, where it is not Google's public one"
    )
    public_base_url: OptionalHttpsUrl = Field(
        default="", description="where anyone reads objects; the service's own if empty"
    )

    @field_validator("uniform_bucket_level_access")
    @classmethod
    def _access_is_by_bucket(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic's signature
        if not value:
            raise ValueError("records are opened to readers by the bucket's policy: leave it true")
        return value

    @property
    def service_account_email(self) -> str:
        """The account that publishes."""
        return f"{self.service_account_id}@{self.project_id}.iam.gserviceaccount.com"

    @property
    def readable_below(self) -> str:
        """The URL that objects are read below."""
        return self.public_base_url or f"{self.endpoint or PUBLIC_ENDPOINT}/{self.bucket_name}"


def create_account(inputs: ObjectRepoInputs) -> str:
    """Return the command that creates the account which publishes; the storage API cannot."""
    return (
        f"gcloud iam service-accounts create {inputs.service_account_id} --project={inputs.project_id} "
        f"--display-name={shlex.quote(inputs.service_account_display_name)}"
    )


def create_key(email: str, project: str) -> str:
    """Return the command that creates a key of an account: the only place where one comes from."""
    file = f"{email.partition('@')[0]}.json"
    return f"gcloud iam service-accounts keys create {file} --iam-account={email} --project={project}"


def repository_outputs(inputs: ObjectRepoInputs, *, location: str, lab: bool = False) -> Outputs:
    """Return the outputs of a repository's state, with the names that HybridOps' own modules read.

    Args:
        inputs: of the module.
        location: where the bucket is, as the service says.
        lab: whether a lab serves it.
    """
    email = inputs.service_account_email
    hint = "hyops lab env" if lab else create_key(email, inputs.project_id)
    optional: Outputs = {"repo_endpoint": inputs.endpoint} if inputs.endpoint else {}
    return {
        "repo_backend": "gcs",
        "repo_provider": "gcp",
        "repo_bucket_name": inputs.bucket_name,
        "repo_project_id": inputs.project_id,
        "repo_region": location,
        "repo_public_base_url": inputs.readable_below,
        "repo_principal_type": "service_account",
        "repo_principal_name": email,
        "repo_credential_create_hint": hint,
        "bucket_name": inputs.bucket_name,
        "service_account_email": email,
        "gcloud_sa_key_hint": hint,
        "lab": lab,
        **optional,
    }


def repository_settings(ref: StateRef, outputs: Outputs) -> RepositorySettings:
    """Return the settings of the repository that a state names.

    Raises:
        BadRepository: the backend is not served here, or the state names no usable bucket.
    """
    backend = outputs.get("repo_backend")
    if backend not in ("gcs", "s3"):
        raise BadRepository(
            f"{ref} names a repository of backend {backend!r}; only gcs and s3 are served",
            hint=f"apply {ref.module} again",
        )
    named: dict[str, JsonValue] = {
        "kind": backend,
        "bucket": held_bucket(outputs),
        "endpoint": outputs.get("repo_endpoint") or None,
        "public_base_url": outputs.get("repo_public_base_url") or None,
        "lab": outputs.get("lab", False),
        # HybridOps notes a location for either; Google's is no part of an address.
        **(
            {"project": outputs.get("repo_project_id")}
            if backend == "gcs"
            else {"region": outputs.get("repo_region") or None}
        ),
    }
    try:
        return RepositorySettings.model_validate(named)
    except ValidationError as error:
        wrong = wrong_values(error, "it")
        raise BadRepository(f"{ref} names no usable bucket: {wrong}", hint=f"apply {ref.module} again") from error


def held_bucket(outputs: Outputs) -> str | None:
    """Return the bucket that a state's outputs name, in one of HybridOps' ways; None where they name none."""
    names = ("repo_bucket_name", "s3_bucket" if outputs.get("repo_backend") == "s3" else "gcs_bucket", "bucket_name")
    found = next((outputs[name] for name in names if outputs.get(name)), None)
    return found if isinstance(found, str) else None
