"""`pipeline.yml`, as typed settings. Secrets are named by environment variable, never written here.

Every setting has a default that works; a missing site is a typed error that says how to add one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.signing_keys import TRUSTED_BY_DEFAULT, SigningKey, named_key
from hyops_assets.contract.version import KEY_PATTERN, release_line

SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
Site = TypeVar("Site")
RecordKey = Annotated[str, StringConstraints(pattern=rf"^{KEY_PATTERN.pattern}$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]


MAX_ISO_BYTES = 4 << 30
"""No installer ISO comes near. What is larger is refused before it is read."""


class SettingsError(HyopsError):
    """`pipeline.yml` is wrong, or lacks what was asked for."""


class FeedSettings(Frozen):
    """Where releases are announced, from which hosts an ISO may come, and whose signature it needs.

    `keys` holds keys written out, or names of VyOS' own.
    """

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
    keys: list[Annotated[SigningKey, BeforeValidator(named_key)]] = [*TRUSTED_BY_DEFAULT]
    poll_seconds: int = Field(default=3600, ge=5)
    sensor: Literal["running", "stopped"] = "stopped"
    max_iso_bytes: int = Field(default=MAX_ISO_BYTES, gt=0)


class AptSource(Frozen):
    """An apt source for the overlay's packages: one line of a sources.list, and the keyring that signs it."""

    line: str
    keyring: Path


class VyosVmImages(Frozen):
    """For the build method `vyos-vm-images`: a checkout on this host. It is never fetched by a build.

    `python` is the interpreter of the play's modules; Debian's has the modules that apt tasks need.
    """

    checkout: Path
    playbook: str = "qemu.yml"
    python: Path = Path("/usr/bin/python3")
    timeout_seconds: int = Field(default=7200, ge=1)


class Packer(Frozen):
    """For the build method `packer`. `allow_tcg` permits a debug build under emulation, which is never published."""

    template: Path | None = None
    allow_tcg: bool = False
    memory_mib: int = Field(default=2048, ge=128)
    boot_timeout_seconds: int = Field(default=900, ge=1)
    step_timeout_seconds: int = Field(default=900, ge=1)


class Command(Frozen):
    """For the build method `command`: a line of yours that makes the disk (docs/build-methods.md).

    `environment` names variables of the host that it gets besides `HYOPS_VYOS_*`; what they hold is kept out of the
    log. `complete` says that its disk needs nothing added. `allow_tcg` permits it to emulate: then nothing it makes
    is published.
    """

    build_command: Annotated[str, StringConstraints(pattern=r"^[^\r\n]*\S[^\r\n]*$")]
    build_workdir: Path
    environment: list[EnvironmentName] = []
    complete: bool = False
    allow_tcg: bool = False
    timeout_seconds: int = Field(default=7200, ge=1)


BuildMethodName = Literal["native", "vyos-vm-images", "packer", "command"]


class BuildSettings(Frozen):
    """How disks are built. Whatever the method, the same gates decide about its disk."""

    record_key: RecordKey = "vyos-1.5"
    stream_record_key: RecordKey = "vyos-1.5-stream"
    disk_bytes: int = Field(default=4 << 30, ge=512 << 20, multiple_of=1 << 20)
    console: Annotated[str, StringConstraints(pattern=r"^(ttyS|tty)[0-9]$")] = "ttyS0"
    console_speed: Literal[9600, 19200, 38400, 57600, 115200] = 115200
    menu_timeout_seconds: int = Field(default=5, ge=0, le=300)
    packages: list[str] = ["cloud-init", "qemu-guest-agent", "cloud-guest-utils"]
    apt_sources: list[AptSource] = []
    package_lock: Path | None = Field(
        default=None, description="a hyops.package-lock/v1 of this ISO; without one apt solves the packages"
    )
    boot_timeout_seconds: int = Field(default=600, ge=30)
    method: BuildMethodName = "native"
    vyos_vm_images: VyosVmImages | None = None
    packer: Packer = Packer()
    command: Command | None = None

    def key_of(self, release: str) -> str:
        """Return the record key of a release: each line of releases has one."""
        return self.record_key if release_line(release) == "rolling" else self.stream_record_key

    @model_validator(mode="after")
    def _lines_have_their_own_keys(self) -> Self:
        if self.record_key == self.stream_record_key:
            raise ValueError("record_key and stream_record_key are the same: each line has a key of its own")
        return self

    @model_validator(mode="after")
    def _method_is_configured(self) -> Self:
        needed = {"vyos-vm-images": self.vyos_vm_images, "command": self.command}
        if self.method in needed and needed[self.method] is None:
            key = self.method.replace("-", "_")
            message = f"method {self.method} needs the settings build.{key} (docs/build-methods.md)"
            raise ValueError(message)
        return self


class RepositorySettings(Frozen):
    """The object repository. Without settings, a directory below the runtime root whose URLs are file URLs.

    Of kind `gcs` it is a bucket of Google Cloud Storage, which has the URLs `https://storage.googleapis.com/<bucket>/…`
    unless `public_base_url` says otherwise. `project` is needed only where Google's tools know none, `endpoint` only
    for an API that is not Google's public one. Credentials come from the environment.
    """

    kind: Literal["directory", "gcs"] = "directory"
    directory: Path | None = None
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$")] | None = None
    project: str | None = None
    endpoint: Annotated[str, StringConstraints(pattern=r"^https://[^/\s@]+$")] | None = None
    public_base_url: str | None = None
    lab: bool = False

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
