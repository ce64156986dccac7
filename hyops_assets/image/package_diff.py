"""How the packages of two disks differ."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PackageDiff:
    """How the packages of one disk differ from those of another: names to versions, `changed` to (former, new)."""

    added: Mapping[str, str]
    removed: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]

    @property
    def empty(self) -> bool:
        """Whether both hold the same packages in the same versions."""
        return not (self.added or self.removed or self.changed)

    def text(self) -> str:
        """Return the difference for people: a line per package, sorted by name, and a line that counts."""
        lines = [(name, f"+ {name} {version}") for name, version in self.added.items()]
        lines += [(name, f"- {name} {version}") for name, version in self.removed.items()]
        lines += [(name, f"~ {name} {former} -> {new}") for name, (former, new) in self.changed.items()]
        counts = f"{len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed"
        return "".join(f"{line}\n" for line in [*(line for _, line in sorted(lines)), counts])


def package_diff(former: Mapping[str, str], new: Mapping[str, str]) -> PackageDiff:
    """Compare the packages of two disks, each as `dpkg.installed` reads them from a dpkg status."""
    return PackageDiff(
        added={name: new[name] for name in sorted(new.keys() - former.keys())},
        removed={name: former[name] for name in sorted(former.keys() - new.keys())},
        changed={
            name: (former[name], new[name]) for name in sorted(former.keys() & new.keys()) if former[name] != new[name]
        },
    )
