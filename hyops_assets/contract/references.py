"""Module references and state references: `core/shared/vyos-image-build#vyos_default_build`."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

from hyops_assets.contract.errors import Refused

IMAGE_BUILD = "core/shared/vyos-image-build"
IMAGE_ARTIFACT = "core/shared/vyos-image-artifact"
TEMPLATE_SEED = "core/onprem/vyos-template-seed"
IMAGE_SEED = "core/hetzner/vyos-image-seed"
TEMPLATE_IMPORT = "core/onprem/vyos-template-import"
IMAGE_REGISTER = "core/hetzner/vyos-image-register"
OBJECT_REPO = "org/gcp/object-repo"
ONPREM_EDGE = "platform/onprem/vyos-edge"
HETZNER_EDGES = "org/hetzner/vyos-edge-foundation"
DEFAULT_BUILD_INSTANCE = "vyos_default_build"
"""The instance the source document's verification reads; its typical apply names none (design §3, rule 5)."""

# `__` stands for the slash in a state's path: with it in a component, two modules would share one state.
_COMPONENT = re.compile(r"(?!.*__)[a-z0-9][a-z0-9_-]*")
_INSTANCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")

_MOST_CHARACTERS = 128
"""Of a module reference. It becomes one directory's name, of which a file system takes 255 bytes."""


class BadReference(Refused):
    """Not a module or state reference."""


@dataclass(frozen=True)
class StateRef:
    """A module's state: its `latest` one, or a named instance."""

    module: str
    instance: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `<module>[#<instance>]`; dots may separate the module's components; instances are lower-cased.

        Raises:
            BadReference: anything else, path traversal included.
        """
        module, hash_, instance = text.partition("#")
        if len(module) > _MOST_CHARACTERS:
            raise BadReference(
                f"{text[:40]!r}… is no state reference: its module has more than {_MOST_CHARACTERS} characters",
                hint=f"write one such as {IMAGE_BUILD}#{DEFAULT_BUILD_INSTANCE}",
            )
        components = re.split(r"[/.]", module)
        if len(components) < 2 or not all(_COMPONENT.fullmatch(part) for part in components):
            raise BadReference(
                f"{text!r} is not a state reference",
                hint=f"write one such as {IMAGE_BUILD}#{DEFAULT_BUILD_INSTANCE}",
            )
        if hash_ and not _INSTANCE.fullmatch(instance.lower()):
            raise BadReference(f"{text!r} names no state instance", hint="use letters, digits, _ . - after the #")
        return cls("/".join(components), instance.lower() or None)

    @property
    def module_id(self) -> str:
        """The module reference as a directory name: `core__shared__vyos-image-build`."""
        return self.module.replace("/", "__")

    @property
    def path(self) -> PurePosixPath:
        """Where the state lies below `state/modules`."""
        file = PurePosixPath("instances", f"{self.instance}.json") if self.instance else PurePosixPath("latest.json")
        return PurePosixPath(self.module_id) / file

    def __str__(self) -> str:
        return f"{self.module}#{self.instance}" if self.instance else self.module


BUILD_STATE = StateRef(IMAGE_BUILD, DEFAULT_BUILD_INSTANCE)
"""The slot that names the record which is current."""
ARTIFACT_STATE = StateRef(IMAGE_ARTIFACT)
"""The slot of a record that others published."""
