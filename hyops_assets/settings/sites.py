"""Sites in `pipeline.yml`: the Proxmox VE nodes and Hetzner Cloud projects that records are seeded to."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Protocol, Self, runtime_checkable

from pydantic import Field, field_validator, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import (
    MOST,
    BridgeName,
    EnvironmentName,
    Host,
    HttpUrl,
    LocalPath,
    LocationName,
    NodeName,
    PoolName,
    Port,
    SiteName,
    StorageName,
    TokenId,
)
from hyops_assets.contract.urls import Url

Vmid = Annotated[int, Field(ge=100, le=999_999_999)]
"""What Proxmox VE takes for a machine (`pve-vmid` in its API schema)."""


class ProxmoxSite(Frozen):
    """One Proxmox VE node (or a cluster through one of its nodes)."""

    host: Host = Field(description="of the API")
    port: Port = Field(default=8006, description="of the API")
    node: NodeName = Field(description="where templates are made")
    token_id: TokenId = Field(description="user@realm!name")
    token_env: EnvironmentName = Field(description="the variable that holds the token's secret")
    ca_file: LocalPath | None = Field(
        default=None, description="the authority of the host's certificate, where the system does not know it"
    )
    storage: StorageName = Field(default="local-lvm", description="holds the template's disk")
    import_storage: StorageName = Field(default="local", description="takes the qcow2; needs content type import")
    bridge: BridgeName = Field(default="vmbr0", description="that the template's network card is plugged into")
    pool: PoolName = Field(
        default="",
        description="that templates are put into; rights on /pool/<pool> then serve for machines",
    )
    vmid_range: tuple[Vmid, Vmid] = Field(default=(9200, 9299), description="first and last VMID of templates")
    written_off_nodes: list[NodeName] = Field(
        max_length=MOST,
        default=[],
        description="nodes of the cluster that no seed waits for while they do not answer: what they hold on a shared "
        "storage is not looked for, and may be made twice",
    )
    template_smoke_gate: bool = Field(
        default=True, description="boot a clone and ask its guest agent before the template is ready"
    )
    seed: Literal["auto", "manual"] = Field(
        default="manual", description="auto: every new record is seeded by the daemon"
    )
    canary: bool = Field(
        default=False,
        description="seeded first; the cloud's other sites wait until it holds (seeding.rest_after_minutes)",
    )
    default: bool = Field(default=False, description="its state is latest.json")
    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")

    @field_validator("vmid_range")
    @classmethod
    def _range_is_not_empty(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            message = f"the first VMID, {value[0]}, is above the last, {value[1]}"
            raise ValueError(message)
        return value


class HetznerSite(Frozen):
    """One Hetzner Cloud project, and where its snapshots are written."""

    endpoint: HttpUrl = Field(default="https://api.hetzner.cloud/v1", description="of the API")
    token_env: EnvironmentName = Field(
        default="HCLOUD_TOKEN", description="the variable that holds the project's token"
    )
    locations: list[LocationName] = Field(
        max_length=32,
        default=["fsn1", "nbg1", "hel1"],
        description="where the server that writes the image may stand; the smallest and cheapest that fits is taken",
    )
    ipv4: bool = Field(
        default=True,
        description="give the server that writes an IPv4 address; without, this host and the object repository need "
        "IPv6",
    )
    rescue_ssh_port: Port = Field(default=22, description="of the rescue system")
    protect: bool = Field(default=True, description="protect snapshots from deletion")
    snapshot_limit: int = Field(
        default=30, ge=1, le=MOST, description="Hetzner's default per customer, counted here over the project"
    )
    snapshot_eur_per_gb_month: float = Field(
        default=0.0143,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="net price, for the estimate in the seed's metadata",
    )
    seed: Literal["auto", "manual"] = Field(
        default="manual", description="auto: every new record is seeded by the daemon; it costs money"
    )
    canary: bool = Field(
        default=False,
        description="seeded first; the cloud's other sites wait until it holds (seeding.rest_after_minutes)",
    )
    paid_seeds_a_day: int = Field(
        default=5, ge=0, le=MOST, description="images that may be created here in any 24 hours; adopting one is free"
    )
    default: bool = Field(default=False, description="its state is latest.json")
    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")

    @model_validator(mode="after")
    def _token_is_not_sent_in_clear(self) -> Self:
        if not self.lab and not self.endpoint.startswith("https://"):
            raise ValueError("endpoint: it would take the token in clear: use https://api.hetzner.cloud/v1")
        return self


class SeededSite(Frozen):
    """What every cloud's site has; the two above say the same in their own words."""

    seed: Literal["auto", "manual"] = Field(
        default="manual", description="auto: every new record is seeded by the daemon"
    )
    canary: bool = Field(
        default=False,
        description="seeded first; the cloud's other sites wait until it holds (seeding.rest_after_minutes)",
    )
    default: bool = Field(default=False, description="its state is latest.json")
    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")


AnySite = ProxmoxSite | HetznerSite | SeededSite


@runtime_checkable
class PaidSite(Protocol):
    """A site whose seeds cost money: how many images may be created there in any 24 hours."""

    @property
    def paid_seeds_a_day(self) -> int:
        """The site's own cap."""
        ...


def token_of(site: AnySite) -> str:
    """Return the variable that holds a site's token; empty where the site needs none."""
    return "" if isinstance(site, SeededSite) else site.token_env


class Sites(Frozen):
    """Where records are seeded, by name. Further clouds of the registry add a section each."""

    proxmox: dict[SiteName, ProxmoxSite] = {}
    hetzner: dict[SiteName, HetznerSite] = {}

    def of(self, cloud: str) -> Mapping[str, AnySite]:
        """Return the sites of a cloud; none where these settings know no such section."""
        return getattr(self, cloud, {}) if cloud in type(self).model_fields else {}

    def each(self) -> Iterator[tuple[str, str, AnySite]]:
        """Yield every site with its cloud and its name."""
        for cloud in type(self).model_fields:
            for name, site in self.of(cloud).items():
                yield cloud, name, site

    @model_validator(mode="after")
    def _each_is_itself(self) -> Self:
        """Refuse two names for one place, and two sites that claim `latest.json`.

        Two names of one project or node would adopt each other's images, and each would count its own money.
        """
        _require_distinct(
            "hetzner", {name: (_one_spelling(s.endpoint), s.token_env) for name, s in self.hetzner.items()}
        )
        _require_distinct("proxmox", {name: (s.host, str(s.port), s.node) for name, s in self.proxmox.items()})
        for cloud in type(self).model_fields:
            marked = sorted(name for name, site in self.of(cloud).items() if site.default)
            if len(marked) > 1:
                raise ValueError(f"{cloud} sites {', '.join(marked)} are all marked default: mark one")
        return self


def default_site(sites: Mapping[str, AnySite]) -> str | None:
    """Return the name of the site whose state is `latest.json`: the one marked default, else the first by name."""
    marked = sorted(name for name, site in sites.items() if site.default)
    return (marked or sorted(sites) or [None])[0]


def _one_spelling(url: str) -> str:
    """Return a URL as each of its spellings reads: another case, the port written out, a slash at its end."""
    return str(Url.parse(url, schemes=("https", "http"))).rstrip("/")


def _require_distinct(cloud: str, places: Mapping[str, tuple[str, ...]]) -> None:
    named: dict[tuple[str, ...], str] = {}
    for name, place in sorted(places.items()):
        if (other := named.setdefault(place, name)) != name:
            raise ValueError(f"{cloud} sites {other} and {name} are one place ({', '.join(place)}): name it once")
