"""The release feed in `pipeline.yml`: where releases are announced, and what of them is believed."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.signing_keys import TRUSTED_BY_DEFAULT, SigningKey, named_key

MAX_ISO_BYTES = 4 << 30
"""No installer ISO comes near. What is larger is refused before it is read."""


class FeedSettings(Frozen):
    """Where releases are announced, from which hosts an ISO may come, and whose signature it needs.

    `keys` holds keys written out, or names of VyOS' own.
    """

    urls: list[str] = Field(
        default=[
            "https://raw.githubusercontent.com/vyos/vyos-nightly-build/rolling/version.json",
            "https://raw.githubusercontent.com/vyos/vyos-nightly-build/HEAD/version.json",
        ],
        description="where version.json is; the first that answers counts",
    )
    iso_hosts: list[str] = Field(
        default=["github.com", "objects.githubusercontent.com", "release-assets.githubusercontent.com"],
        description="the only hosts that an ISO may come from, redirects included",
    )
    mirror: str | None = Field(default=None, description="asked for ISOs first; upstream keeps only thirty builds")
    keys: list[Annotated[SigningKey, BeforeValidator(named_key)]] = Field(
        default=[*TRUSTED_BY_DEFAULT],
        description="who may sign an ISO: names of VyOS' keys (docs/decisions/0012), or keys written out",
    )
    poll_seconds: int = Field(default=3600, ge=5, description="between two looks of the sensor")
    sensor: Literal["running", "stopped"] = Field(
        default="stopped", description="running: new releases are built without being asked for"
    )
    max_iso_bytes: int = Field(default=MAX_ISO_BYTES, gt=0, description="what is larger is refused before it is read")
