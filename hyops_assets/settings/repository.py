"""The object repository in `pipeline.yml`: a directory, or a bucket."""

from typing import Literal, Self

from pydantic import Field, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import BucketName, HttpsOrigin, HttpsUrl, LocalPath, ProjectId


class RepositorySettings(Frozen):
    """The object repository. Without settings, a directory below the runtime root whose URLs are file URLs.

    Of kind `gcs` it is a bucket of Google Cloud Storage, which has the URLs `https://storage.googleapis.com/<bucket>/…`
    unless `public_base_url` says otherwise. `project` is needed only where Google's tools know none, `endpoint` only
    for an API that is not Google's public one. Credentials come from the environment.
    """

    kind: Literal["directory", "gcs"] = Field(
        default="directory", description="a directory, or a bucket of Google Cloud Storage"
    )
    directory: LocalPath | None = Field(
        default=None, description="where records are published; work/repository below the runtime root where empty"
    )
    bucket: BucketName | None = Field(default=None, description="its name; needed by kind gcs")
    project: ProjectId | None = Field(default=None, description="the bucket's; only where Google's tools know none")
    endpoint: HttpsOrigin | None = Field(
        default=None, description="of the storage API, where it is not Google's public one"
    )
    public_base_url: HttpsUrl | None = Field(default=None, description="the URL that anyone reads records below")
    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")

    @model_validator(mode="after")
    def _kind_has_its_place(self) -> Self:
        if self.kind == "gcs" and self.bucket is None:
            message = "kind gcs needs the setting repository.bucket"
            raise ValueError(message)
        strange = ("directory",) if self.kind == "gcs" else ("bucket", "project", "endpoint")
        given = [f"repository.{name}" for name in strange if getattr(self, name) is not None]
        if given:
            message = f"kind {self.kind} has no {', '.join(given)}"
            raise ValueError(message)
        return self
