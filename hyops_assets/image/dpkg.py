"""Debian's package data: the status file of an ISO, what a .deb says of itself, and how two disks' packages differ.

Reads control data (deb-control(5), dpkg's `status`); installs nothing. The syntax is that of RFC 822 headers as
Debian policy §5.1 narrows it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hyops_assets.contract.errors import HyopsError

SUITES: Mapping[int, str] = {11: "bullseye", 12: "bookworm", 13: "trixie", 14: "forky"}
"""Debian's releases by the major version of base-files, which every release raises."""

ARCHITECTURE = "amd64"
"""The one that images are made for."""

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*(?::[a-z0-9-]+)?", re.IGNORECASE)
"""Debian policy §5.6.1, more lenient than it, with an architecture."""
_VERSION = re.compile(r"[0-9A-Za-z.+:~_-]{0,255}", re.ASCII)
"""Debian policy §5.6.12, as lenient: versions are shown in tables and in Dagster's UI, where other characters act."""

Stanza = Mapping[str, str]
"""Fields by lower-case name; a value of several lines keeps its line breaks."""


class BadStatus(HyopsError):
    """A dpkg status that does not tell what it must."""


def stanzas(text: str) -> Iterator[Stanza]:
    """Yield the stanzas of control data, in their order; comments are left out."""
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0] in " \t":
            fields[name] = f"{fields.get(name, '')}\n{line[1:]}"
        else:
            name, _, value = line.partition(":")
            name = name.lower()
            fields[name] = value.strip()


def is_installed(stanza: Stanza) -> bool:
    """Tell whether a package's files are on the disk: any state but not-installed and config-files.

    The words are those of dpkg(1), "Package states".
    """
    state = stanza.get("status", "").split()[-1:]
    return bool(stanza.get("package")) and state not in ([], ["not-installed"], ["config-files"])


def package_name(stanza: Stanza) -> str:
    """Return what dpkg calls a package: its name, with the architecture where that is a foreign one."""
    architecture = stanza.get("architecture", ARCHITECTURE)
    native = architecture in (ARCHITECTURE, "all")
    return stanza["package"] if native else f"{stanza['package']}:{architecture}"


def installed_stanzas(status: bytes) -> list[Stanza]:
    """Return the stanzas of every installed package, in the status' order; of two of one package, the later.

    Raises:
        BadStatus: it names no installed package, or one by a name or of a version that no package can have.
    """
    read = stanzas(status.decode("utf-8", "replace"))
    found = {package_name(stanza): stanza for stanza in read if is_installed(stanza)}
    wrong = sorted(name for name in found if not _NAME.fullmatch(name))
    if wrong:
        raise BadStatus(f"the dpkg status names a package {wrong[0]!r}", hint="use an ISO with a sound dpkg database")
    strange = sorted(name for name, stanza in found.items() if not _VERSION.fullmatch(stanza.get("version", "")))
    if strange:
        said = found[strange[0]].get("version", "")
        raise BadStatus(
            f"the dpkg status has {strange[0]} of version {said[:80]!r}",
            hint="use an ISO with a sound dpkg database",
        )
    if not found:
        raise BadStatus(
            "the dpkg status names no installed package", hint="use an ISO that keeps /var/lib/dpkg/status"
        )
    return list(found.values())


def installed(status: bytes) -> dict[str, str]:
    """Return the version of every installed package by name, as `package_name` spells it.

    Raises:
        BadStatus: it names no package at all.
    """
    return {package_name(stanza): stanza.get("version", "") for stanza in installed_stanzas(status)}


def suite_of(status: bytes) -> str:
    """Return the Debian suite that an ISO was made from: `bookworm`.

    Decided by the version of base-files: VyOS puts its release train into os-release's codename and strips
    /etc/debian_version (VyOS T5624).

    Raises:
        BadStatus: base-files is not installed, or is of no release known here.
    """
    version = installed(status).get("base-files")
    match = re.match(r"\d+", version or "")
    suite = SUITES.get(int(match[0])) if match else None
    if suite is None:
        known = ", ".join(f"{major} ({name})" for major, name in SUITES.items())
        raise BadStatus(
            f"base-files {version or 'is not installed'} tells no Debian suite; known: {known}",
            hint="use an ISO made from one of these, or teach hyops_assets/image/dpkg.py the new release",
        )
    return suite


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
