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


class AptSource(Frozen):
    """An apt source for the overlay's packages: one line of a sources.list, and the keyring that signs it."""

    line: str = Field(description="one line of a sources.list")
    keyring: Path = Field(description="the file with the keys that sign it")


class VyosVmImages(Frozen):
    """For the build method `vyos-vm-images`: a checkout on this host. It is never fetched by a build.

    `python` is the interpreter of the play's modules; Debian's has the modules that apt tasks need.
    """

    checkout: Path = Field(description="of vyos-vm-images, cloned and reviewed by you; a build fetches nothing")
    playbook: str = Field(default="qemu.yml", description="in the checkout")
    python: Path = Field(
        default=Path("/usr/bin/python3"),
        description="the interpreter of the play's modules; Debian's has those that apt tasks need",
    )
    timeout_seconds: int = Field(default=7200, ge=1, description="until the play is stopped")


class Packer(Frozen):
    """For the build method `packer`. `allow_tcg` permits a debug build under emulation, which is never published."""

    template: Path | None = Field(default=None, description="one of yours; ours where empty")
    allow_tcg: bool = Field(default=False, description="a debug build under emulation, which is never published")
    memory_mib: int = Field(default=2048, ge=128, description="of the machine that the installer runs in")
    boot_timeout_seconds: int = Field(default=900, ge=1, description="until the login prompt")
    step_timeout_seconds: int = Field(default=900, ge=1, description="until each next question")


class Command(Frozen):
    """For the build method `command`: a line of yours that makes the disk (docs/build-methods.md).

    `environment` names variables of the host that it gets besides `HYOPS_VYOS_*`; what they hold is kept out of the
    log. `complete` says that its disk needs nothing added. `allow_tcg` permits it to emulate: then nothing it makes
    is published.
    """

    build_command: Annotated[str, StringConstraints(pattern=r"^[^\r\n]*\S[^\r\n]*$")] = Field(
        description="one line, run by bash -c"
    )
    build_workdir: Path = Field(description="where it runs")
    environment: list[EnvironmentName] = Field(
        default=[], description="variables of the host that it gets; what they hold is kept out of the log"
    )
    complete: bool = Field(default=False, description="its disk needs nothing added")
    allow_tcg: bool = Field(default=False, description="it may emulate; then nothing it makes is published")
    timeout_seconds: int = Field(default=7200, ge=1, description="until it is stopped")


BuildMethodName = Literal["native", "vyos-vm-images", "packer", "command"]


class BuildSettings(Frozen):
    """How disks are built. Whatever the method, the same gates decide about its disk."""

    record_key: RecordKey = Field(default="vyos-1.5", description="of rolling releases")
    stream_record_key: RecordKey = Field(default="vyos-1.5-stream", description="of Stream releases")
    disk_bytes: int = Field(
        default=4 << 30,
        ge=512 << 20,
        multiple_of=1 << 20,
        description="size of the disk, whole MiB; the first boot grows it to the disk it finds",
    )
    console: Annotated[str, StringConstraints(pattern=r"^(ttyS|tty)[0-9]$")] = Field(
        default="ttyS0", description="the kernel's; the menu is on the screen and on the serial port"
    )
    console_speed: Literal[9600, 19200, 38400, 57600, 115200] = Field(
        default=115200, description="of a serial console, in baud"
    )
    menu_timeout_seconds: int = Field(default=5, ge=0, le=300, description="of the boot menu")
    packages: list[str] = Field(
        default=["cloud-init", "qemu-guest-agent", "cloud-guest-utils"],
        description="put into the overlay, with what they depend on",
    )
    apt_sources: list[AptSource] = Field(
        default=[], description="of the ISO's own suite, where this host runs another one (docs/packages.md)"
    )
    package_lock: Path | None = Field(
        default=None, description="a hyops.package-lock/v1 of this ISO; without one apt solves the packages"
    )
    boot_timeout_seconds: int = Field(default=600, ge=30, description="until a gate's boot must have answered")
    method: BuildMethodName = Field(default="native", description="docs/build-methods.md")
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

    kind: Literal["directory", "gcs"] = Field(
        default="directory", description="a directory, or a bucket of Google Cloud Storage"
    )
    directory: Path | None = Field(
        default=None, description="where records are published; work/repository below the runtime root where empty"
    )
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$")] | None = Field(
        default=None, description="its name; needed by kind gcs"
    )
    project: str | None = Field(default=None, description="the bucket's; only where Google's tools know none")
    endpoint: Annotated[str, StringConstraints(pattern=r"^https://[^/\s@]+$")] | None = Field(
        default=None, description="of the storage API, where it is not Google's public one"
    )
    public_base_url: str | None = Field(default=None, description="the URL that anyone reads records below")
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


class ProxmoxSite(Frozen):
    """One Proxmox VE node (or a cluster through one of its nodes)."""

    host: str = Field(description="of the API")
    port: int = Field(default=8006, description="of the API")
    node: str = Field(description="where templates are made")
    token_id: str = Field(description="user@realm!name")
    token_env: EnvironmentName = Field(description="the variable that holds the token's secret")
    ca_file: Path | None = Field(
        default=None, description="the authority of the host's certificate, where the system does not know it"
    )
    storage: str = Field(default="local-lvm", description="holds the template's disk")
    import_storage: str = Field(default="local", description="takes the qcow2; needs content type import")
    bridge: str = Field(default="vmbr0", description="that the template's network card is plugged into")
    vmid_range: tuple[int, int] = Field(default=(9200, 9299), description="first and last VMID of templates")
    template_smoke_gate: bool = Field(
        default=True, description="boot a clone and ask its guest agent before the template is ready"
    )
    seed: Literal["auto", "manual"] = Field(
        default="manual", description="auto: every new record is seeded by the daemon"
    )
    default: bool = Field(default=False, description="its state is latest.json")
    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")


class HetznerSite(Frozen):
    """One Hetzner Cloud project, and where its snapshots are written."""

    endpoint: str = Field(default="https://api.hetzner.cloud/v1", description="of the API")
    token_env: EnvironmentName = Field(
        default="HCLOUD_TOKEN", description="the variable that holds the project's token"
    )
    locations: list[str] = Field(
        default=["fsn1", "nbg1", "hel1"],
        description="where the server that writes the image may stand; the smallest and cheapest that fits is taken",
    )
    rescue_ssh_port: int = Field(default=22, description="of the rescue system")
    protect: bool = Field(default=True, description="protect snapshots from deletion")
    snapshot_limit: int = Field(
        default=30, ge=1, description="Hetzner's default per customer, counted here over the project"
    )
    seed: Literal["auto", "manual"] = Field(
        default="manual", description="auto: every new record is seeded by the daemon; it costs money"
    )
    default: bool = Field(default=False, description="its state is latest.json")
    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")


class Sites(Frozen):
    """Where records are seeded, by name."""

    proxmox: dict[SiteName, ProxmoxSite] = {}
    hetzner: dict[SiteName, HetznerSite] = {}


class Settings(Frozen):
    """All of `pipeline.yml`. `lab` is true in the file that `hyops lab up` wrote, and only there."""

    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")
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
