"""The release feed in `pipeline.yml`: where releases are announced, and what of them is believed."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.minisign_keys import PublicKey
from hyops_assets.contract.names import MOST, MOST_DAYS, MOST_SECONDS, HostAndPort, HttpsUrl, Place
from hyops_assets.contract.version import ReleaseLine, require_release
from hyops_assets.settings.signing_keys import TRUSTED_BY_DEFAULT, SigningKey, named_key

MAX_ISO_BYTES = 4 << 30
"""No installer ISO comes near. What is larger is refused before it is read."""
MAX_SIGNATURE_BYTES = 16 << 10
"""No signature file is longer: minisign itself bounds the comments at 1024 and 8192 bytes."""


class FeedSettings(Frozen):
    """Where releases are announced, from which hosts an ISO may come, and whose signature it needs.

    `keys` holds keys written out, or names of VyOS' own.
    """

    urls: list[Place] = Field(
        max_length=32,
        default=[
            "https://raw.githubusercontent.com/vyos/vyos-nightly-build/rolling/version.json",
            "https://raw.githubusercontent.com/vyos/vyos-nightly-build/HEAD/version.json",
            "https://raw.githubusercontent.com/vyos/vyos-nightly-build/current/version.json",
        ],
        description="where version.json is, https URLs or paths; the first that answers counts",
    )
    iso_hosts: list[HostAndPort] = Field(
        default=["github.com", "objects.githubusercontent.com", "release-assets.githubusercontent.com"],
        description="the only hosts, or host:port, that the ISO of a rolling release may come from, redirects too",
    )
    stream_iso_hosts: list[HostAndPort] = Field(
        default=["community-downloads.vyos.dev"],
        description="the only hosts, or host:port, that the ISO of a Stream release may come from, redirects too",
    )
    github_api: HttpsUrl | None = Field(
        default="https://api.github.com",
        description="asked what it knows of a release on GitHub before it is believed; null where there is no way out",
    )
    mirror: Place | None = Field(
        default=None,
        description="asked for ISOs first: upstream keeps thirty builds; a directory that may be written is filled",
    )
    keys: list[Annotated[SigningKey, BeforeValidator(named_key)]] = Field(
        default=[*TRUSTED_BY_DEFAULT],
        description="who may sign an ISO: names of VyOS' keys (docs/decisions/0012), or keys written out",
    )
    poll_seconds: int = Field(default=3600, ge=5, le=MOST_SECONDS, description="between two looks of the sensor")
    sensor: Literal["running", "stopped"] = Field(
        default="stopped", description="running: new releases are built without being asked for"
    )
    min_hours_between_builds: float = Field(
        default=0,
        ge=0,
        le=24 * 366,
        allow_inf_nan=False,
        description="of one line; of the releases that appear meanwhile, only the newest is built. 0 builds each",
    )
    skip: list[Annotated[str, AfterValidator(require_release)]] = Field(
        default=[], description="releases that the sensor never asks for"
    )
    max_builds_in_flight: int = Field(
        default=2,
        ge=1,
        le=MOST,
        description="while so many builds are queued or running, the sensor asks for no other",
    )
    stale_after_days: int = Field(
        default=4,
        ge=1,
        le=MOST_DAYS,
        description="without a new release for so long, the feed is taken for dead and vyos_release fails",
    )
    max_iso_bytes: int = Field(
        default=MAX_ISO_BYTES, gt=0, le=1 << 50, description="what is larger is refused before it is read"
    )
    slowest_bytes_per_second: int = Field(
        default=64 << 10,
        ge=1,
        le=1 << 30,
        description="a source that falls a minute behind this rate is given up; what arrived is kept",
    )

    @field_validator("keys")
    @classmethod
    def _no_two_keys_have_one_id(cls, keys: list[SigningKey]) -> list[SigningKey]:
        """Refuse what intake would: a signature names its key by the id alone."""
        named: dict[bytes, str] = {}
        for key in keys:
            key_id = PublicKey.parse(key.public_key).key_id
            if key_id in named:
                raise ValueError(f"{named[key_id]} and {key.name} have the same id: keep one of them")
            named[key_id] = key.name
        return keys

    @property
    def hosts(self) -> Mapping[ReleaseLine, tuple[str, ...]]:
        """The hosts that an ISO may come from, by line of releases."""
        return {"rolling": tuple(self.iso_hosts), "stream": tuple(self.stream_iso_hosts)}
