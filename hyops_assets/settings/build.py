"""Building in `pipeline.yml`: the disk, its packages, and the method that makes it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from hyops_assets.contract.apt_lines import BadSource, usable_line
from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import (
    MOST_SECONDS,
    CommandLine,
    EnvironmentName,
    Line,
    LocalPath,
    PackageName,
    RecordKey,
    RelativeFile,
    Seconds,
)
from hyops_assets.contract.record import MOST_DISK_BYTES
from hyops_assets.contract.version import release_line

_MOST_ADOPTED_BYTES = 64 << 30
"""An image of VyOS has a few GiB. A larger one is hashed, decoded and looked into for as long as it claims."""


class AptSource(Frozen):
    """An apt source for the overlay's packages: one line of a sources.list, and the keyring that signs it."""

    line: Line = Field(description="one line of a sources.list")
    keyring: LocalPath = Field(description="the file with the keys that sign it")


def _usable(source: AptSource) -> AptSource:
    try:
        usable_line(source.line)
    except BadSource as error:
        raise ValueError(f"line: {error.message}; {error.hint}") from error
    return source


class VyosVmImages(Frozen):
    """For the build method `vyos-vm-images`: a checkout on this host. It is never fetched by a build.

    `python` is the interpreter of the play's modules; Debian's has the modules that apt tasks need.
    """

    checkout: LocalPath = Field(description="of vyos-vm-images, cloned and reviewed by you; no build fetches it")
    playbook: RelativeFile = Field(default="qemu.yml", description="in the checkout")
    inventory: RelativeFile = Field(default="hosts", description="in the checkout; the play names a group of it")
    may_install_packages: bool = Field(
        default=False,
        description="the play may install packages on this host, grub-efi-amd64 among them, which removes grub-pc",
    )
    python: LocalPath = Field(
        default=Path("/usr/bin/python3"),
        description="the interpreter of the play's modules; Debian's has those that apt tasks need",
    )
    timeout_seconds: Seconds = Field(default=7200, description="until the play is stopped")


class Packer(Frozen):
    """For the build method `packer`. `allow_tcg` permits a debug build under emulation, which is never published."""

    template: LocalPath | None = Field(default=None, description="one of yours; ours where empty")
    allow_tcg: bool = Field(default=False, description="a debug build under emulation, which is never published")
    memory_mib: int = Field(default=2048, ge=128, le=1 << 20, description="of the machine that the installer runs in")
    boot_timeout_seconds: Seconds = Field(default=900, description="until the login prompt")
    step_timeout_seconds: Seconds = Field(default=900, description="until each next question")


class Command(Frozen):
    """For the build method `command`: a line of yours that makes the disk (docs/build-methods.md).

    `environment` names variables of the host that it gets besides `HYOPS_VYOS_*`; what they hold is kept out of the
    log. `complete` says that its disk needs nothing added. `allow_tcg` permits it to emulate: then nothing it makes
    is published.
    """

    build_command: CommandLine = Field(description="one line, run by bash -c")
    build_workdir: LocalPath = Field(description="where it runs")
    environment: list[EnvironmentName] = Field(
        default=[], description="variables of the host that it gets; what they hold is kept out of the log"
    )
    complete: bool = Field(default=False, description="its disk needs nothing added")
    allow_tcg: bool = Field(default=False, description="it may emulate; then nothing it makes is published")
    timeout_seconds: Seconds = Field(default=7200, description="until it is stopped")


BuildMethodName = Literal["native", "vyos-vm-images", "packer", "command"]


class BuildSettings(Frozen):
    """How disks are built. Whatever the method, the same gates decide about its disk."""

    record_key: RecordKey = Field(default="vyos-1.5", description="of rolling releases")
    stream_record_key: RecordKey = Field(default="vyos-1.5-stream", description="of Stream releases")
    disk_bytes: int = Field(
        default=4 << 30,
        ge=512 << 20,
        le=MOST_DISK_BYTES,
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
    packages: list[PackageName] = Field(
        max_length=500,
        default=["cloud-init", "qemu-guest-agent", "cloud-guest-utils"],
        description="put into the overlay, with what they depend on",
    )
    apt_sources: list[Annotated[AptSource, AfterValidator(_usable)]] = Field(
        default=[], description="of the ISO's own suite, where this host runs another one (docs/packages.md)"
    )
    package_lock: LocalPath | None = Field(
        default=None, description="a hyops.package-lock/v1 of this ISO; without one apt solves the packages"
    )
    boot_timeout_seconds: int = Field(
        default=1200, ge=30, le=MOST_SECONDS, description="until a gate's boot must have answered"
    )
    boot_memory_mib: int = Field(
        default=1024, ge=1024, le=1 << 20, description="of a gate's guest; VyOS documents 1024 MiB as its minimum"
    )
    emulated_guests_at_once: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="gates that boot at a time on a host without KVM, from the UI and from every shell; others wait",
    )
    rebuild_when_recipe_changes: bool = Field(
        default=False,
        description="build the newest record again, as a revision, when helper, builder, lock or packages change",
    )
    method: BuildMethodName = Field(default="native", description="docs/build-methods.md")
    vyos_vm_images: VyosVmImages | None = None
    packer: Packer = Packer()
    command: Command | None = None

    def key_of(self, release: str) -> str:
        """Return the record key of a release: each line of releases has one."""
        return self.record_key if release_line(release) == "rolling" else self.stream_record_key

    @property
    def most_adopted_bytes(self) -> int:
        """The largest disk that is taken over from elsewhere: 64 GiB, or as large as those that are built here."""
        return max(_MOST_ADOPTED_BYTES, self.disk_bytes)

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
