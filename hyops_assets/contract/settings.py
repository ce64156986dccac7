"""`pipeline.yml`, as typed settings. Secrets are named by environment variable, never written here.

Every setting has a default that works; a missing site is a typed error that says how to add one.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import HyopsError

SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
Site = TypeVar("Site")
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]


class SettingsError(HyopsError):
    """`pipeline.yml` is wrong, or lacks what was asked for."""


class SigningKey(Frozen):
    """A minisign public key we trust, and when. `lab` keys are accepted by a lab only."""

    name: str
    public_key: str
    valid_from: date | None = None
    valid_until: date | None = None
    lab: bool = False


ROLLING_KEY = SigningKey(
    name="vyos-rolling",
    public_key="RWSIhkR/dkM2DSaBRniv/bbbAf8hmDqdbOEmgXkf1RxRoxzodgKcDyGq",
    valid_from=date(2024, 4, 2),
)
"""The key of VyOS' rolling releases since 2024-04-02 (docs.vyos.io, installation)."""


class FeedSettings(Frozen):
    """Where releases are announced and from which hosts an ISO may come."""

    urls: list[str] = [
        "https://raw.githubusercontent.com/vyos/vyos-nightly-build/rolling/version.json",
        "https://raw.githubusercontent.com/vyos/vyos-nightly-build/HEAD/version.json",
    ]
    iso_hosts: list[str] = [
        "github.com",
        "objects.githubusercontent.com",
        "release-assets.githubusercontent.com",
    ]
    mirror: str | None = None
    keys: list[SigningKey] = [ROLLING_KEY]
    poll_seconds: int = Field(default=3600, ge=5)
    sensor: Literal["running", "stopped"] = "stopped"
    max_iso_bytes: int = Field(default=4 << 30, gt=0)


class AptSource(Frozen):
    """An apt source for the overlay's packages: one line of a sources.list, and the keyring that signs it."""

    line: str
    keyring: Path


class BuildSettings(Frozen):
    """How disks are built."""

    record_key: str = "vyos-1.5"
    disk_bytes: int = Field(default=4 << 30, ge=512 << 20, multiple_of=1 << 20)
    console: Literal["ttyS0", "tty0"] = "ttyS0"
    packages: list[str] = ["cloud-init", "qemu-guest-agent", "cloud-guest-utils"]
    apt_sources: list[AptSource] = []
    boot_timeout_seconds: int = Field(default=600, ge=30)


class RepositorySettings(Frozen):
    """The object repository. Without settings, a directory below the runtime root whose URLs are file URLs."""

    kind: Literal["directory"] = "directory"
    directory: Path | None = None
    public_base_url: str | None = None
    lab: bool = False


class ProxmoxSite(Frozen):
    """One Proxmox VE node (or a cluster through one of its nodes)."""

    host: str
    port: int = 8006
    node: str
    token_id: str = Field(description="user@realm!name")
    token_env: EnvironmentName
    ca_file: Path | None = None
    storage: str = "local-lvm"
    import_storage: str = "local"
    bridge: str = "vmbr0"
    vmid_range: tuple[int, int] = (9200, 9299)
    template_smoke_gate: bool = True
    seed: Literal["auto", "manual"] = "manual"
    default: bool = False
    lab: bool = False


class HetznerSite(Frozen):
    """One Hetzner Cloud project, and where its snapshots are written."""

    endpoint: str = "https://api.hetzner.cloud/v1"
    token_env: EnvironmentName = "HCLOUD_TOKEN"  # noqa: S105 - a variable's name
    locations: list[str] = ["fsn1", "nbg1", "hel1"]
    rescue_ssh_port: int = 22
    protect: bool = True
    snapshot_limit: int = Field(
        default=30, ge=1, description="Hetzner's default per customer, counted here over the project"
    )
    seed: Literal["auto", "manual"] = "manual"
    default: bool = False
    lab: bool = False


class Sites(Frozen):
    """Where records are seeded, by name."""

    proxmox: dict[SiteName, ProxmoxSite] = {}
    hetzner: dict[SiteName, HetznerSite] = {}


class Settings(Frozen):
    """All of `pipeline.yml`. `lab` is true in the file that `hyops lab up` wrote, and only there."""

    lab: bool = False
    feed: FeedSettings = FeedSettings()
    build: BuildSettings = BuildSettings()
    repository: RepositorySettings = RepositorySettings()
    sites: Sites = Sites()

    @property
    def trusted_keys(self) -> list[SigningKey]:
        """The keys that may sign an ISO here: a lab's keys count in a lab only."""
        return [key for key in self.feed.keys if self.lab or not key.lab]

    def proxmox_site(self, name: str) -> ProxmoxSite:
        """Return a Proxmox site.

        Raises:
            SettingsError: no such site.
        """
        return _site(self.sites.proxmox, "proxmox", name)

    def hetzner_site(self, name: str) -> HetznerSite:
        """Return a Hetzner site.

        Raises:
            SettingsError: no such site.
        """
        return _site(self.sites.hetzner, "hetzner", name)


def _site(sites: dict[str, Site], kind: str, name: str) -> Site:
    if name not in sites:
        known = ", ".join(sorted(sites)) or "none"
        raise SettingsError(
            f"no {kind} site {name!r} is configured (configured: {known})",
            hint=f"add it to config/pipeline.yml under sites.{kind}.{name}",
        )
    return sites[name]


def default_site(sites: Mapping[str, ProxmoxSite | HetznerSite]) -> str | None:
    """Return the name of the site whose state is `latest.json`: the one marked default, else the first by name."""
    marked = sorted(name for name, site in sites.items() if site.default)
    return (marked or sorted(sites) or [None])[0]
