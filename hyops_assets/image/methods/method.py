"""What all build methods share: what they are given, what they answer, and how their disk is judged.

A method gets a verified ISO and an overlay, and leaves a raw disk. What it leaves passes the same gates, whichever
method it was; what a method says about itself is evidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pydantic import JsonValue

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.intake.iso import OpenedIso
from hyops_assets.settings.build import BuildSettings

BuildAccelerator = Literal["none", "kvm", "tcg", "unknown"]
"""What ran the guest that made a disk: nothing did, KVM, emulation; unknown where a command does not tell."""


class BuildFailed(HyopsError):
    """A build method ended without a disk that can be used."""


@dataclass(frozen=True)
class BuildRequest:
    """One disk to build.

    Attributes:
        iso: the ISO file; its signature has been verified.
        opened: the same ISO, taken apart.
        overlay: what stands in the overlay's upper directory, by the guest's paths.
        helper: the canonical cloud-init module; it is in the overlay, too.
        version: of the record: the release, or the release and a revision.
        source_iso_url: where the ISO came from; empty where unknown.
        settings: disk size, console, and what the method itself needs.
        destination: the raw disk; it appears when it is complete.
        scratch: an existing directory of this build's own; its maker removes it.
        progress: called with bytes; cancels by raising.
    """

    iso: Path
    opened: OpenedIso
    overlay: Tree
    helper: Path
    version: str
    source_iso_url: str
    settings: BuildSettings
    destination: Path
    scratch: Path
    progress: Progress = silent


@dataclass(frozen=True)
class MadeDisk:
    """What a method says of the disk that it left at the destination.

    Attributes:
        accelerator: what ran the guest that made it.
        reproducible: the same request gives the same bytes, anywhere.
        programs: what the method ran besides what every build runs; their versions become evidence.
        detail: more evidence; holds no secret.
    """

    accelerator: BuildAccelerator
    reproducible: bool
    programs: tuple[str, ...] = ()
    detail: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, JsonValue]:
        """The method's part of a build's evidence."""
        return {
            "accelerator": self.accelerator,
            "reproducible": self.reproducible,
            "publishable": self.accelerator != "tcg",
            **self.detail,
        }


class BuildMethod(Protocol):
    """One way to make a disk of a request."""

    def __call__(self, request: BuildRequest) -> MadeDisk:
        """Write the raw disk to the request's destination, whole or not at all."""
        ...
