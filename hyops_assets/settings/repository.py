"""The object repository in `pipeline.yml`: a directory, or a bucket."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import BucketName, HttpsOrigin, HttpsUrl, LocalPath, ProjectId, RegionName

_KEYS = {
    "directory": frozenset({"directory"}),
    "gcs": frozenset({"bucket", "project", "endpoint"}),
    "s3": frozenset({"bucket", "endpoint", "region"}),
}
"""Which keys say where a repository of a kind is."""
_S3_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SCHEMES = {"gcs": "gs", "s3": "s3"}


class RepositorySettings(Frozen):
    """The object repository. Without settings, a directory below the runtime root whose URLs are file URLs.

    Of kind `gcs` it is a bucket of Google Cloud Storage, which has the URLs `https://storage.googleapis.com/<bucket>/…`
    unless `public_base_url` says otherwise. `project` is needed only where Google's tools know none, `endpoint` only
    for an API that is not Google's public one. Of kind `s3` it is a bucket of an S3 service: of the one at `endpoint`,
    or Amazon's in `region`. Credentials come from the environment.
    """

    kind: Literal["directory", "gcs", "s3"] = Field(
        default="directory", description="a directory, or a bucket of Google Cloud Storage or of an S3 service"
    )
    directory: LocalPath | None = Field(
        default=None, description="where records are published; work/repository below the runtime root where empty"
    )
    bucket: BucketName | None = Field(default=None, description="its name; needed by kinds gcs and s3")
    project: ProjectId | None = Field(default=None, description="the bucket's; only where Google's tools know none")
    endpoint: HttpsOrigin | None = Field(
        default=None,
        description="of the storage API, where it is not Google's or Amazon's public one, such as "
        "https://fsn1.your-objectstorage.com",
    )
    region: RegionName | None = Field(
        default=None, description="of an S3 bucket; needed without an endpoint, and where the endpoint minds"
    )
    public_base_url: HttpsUrl | None = Field(default=None, description="the URL that anyone reads records below")
    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")

    @model_validator(mode="after")
    def _kind_has_its_place(self) -> Self:
        if self.kind != "directory" and self.bucket is None:
            message = f"kind {self.kind} needs the setting repository.bucket"
            raise ValueError(message)
        of_others = frozenset[str]().union(*_KEYS.values()) - _KEYS[self.kind]
        given = [f"repository.{name}" for name in sorted(of_others) if getattr(self, name) is not None]
        if given:
            message = f"kind {self.kind} has no {', '.join(given)}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _an_s3_bucket_can_be_found(self) -> Self:
        if self.kind != "s3":
            return self
        if self.endpoint is None and self.region is None:
            raise ValueError("kind s3 needs repository.endpoint, or repository.region of Amazon's own service")
        if not _S3_BUCKET.fullmatch(self.bucket or ""):
            raise ValueError("a bucket's name at S3 has 3 to 63 lower-case letters, digits, dots and hyphens")
        return self

    @property
    def place(self) -> str:
        """What a person calls it: `gs://…`, `s3://…` or the directory."""
        if self.kind != "directory":
            return f"{_SCHEMES[self.kind]}://{self.bucket}"
        return f"directory {self.directory}" if self.directory else "directory of this environment"

    @property
    def s3_base_url(self) -> str:
        """The URL that anyone reads an S3 bucket's objects below; of a name with dots no certificate holds."""
        if self.public_base_url is not None:
            return self.public_base_url
        if self.endpoint is not None:
            return f"{self.endpoint}/{self.bucket}"
        host = f"s3.{self.region}.amazonaws.com"
        return f"https://{host}/{self.bucket}" if "." in str(self.bucket) else f"https://{self.bucket}.{host}"
