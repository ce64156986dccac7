"""Where packages come from: source lines for apt, each bound to its own keyring. What one may say: `apt_lines.py`."""

import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hyops_assets.contract.apt_lines import BadSource, Line, parsed_line, usable_line
from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.dpkg import SUITES, Stanza, stanzas
from hyops_assets.image.programs import run
from hyops_assets.settings.build import AptSource

HOST_SOURCES = Path("/etc/apt")
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_POCKETS = ("-updates", "-security")
_ROLLING = ("stable", "oldstable", "testing", "unstable", "sid")


class NoSource(HyopsError):
    """Nothing tells where the packages of the ISO's suite are."""


@contextmanager
def signed_lines(sources: Iterable[AptSource], suite: str) -> Iterator[list[str]]:
    """Give the lines of a sources.list, each with `signed-by`, for as long as the block lasts.

    Raises:
        BadSource: not a `deb` line, one of another Debian suite, one that holds a password or that switches
            signatures off; or a keyring that does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="hyops-keyrings-") as name:
        lines: list[str] = []
        for number, source in enumerate(sources):
            line = _checked(source, suite)
            # By way of a link, because apt has no way to write a keyring's path that holds a blank.
            link = Path(name, f"{number}{source.keyring.suffix}")
            link.symlink_to(source.keyring.absolute())
            lines.append(line.text(link))
        yield lines


def host_sources(suite: str, etc: Path = HOST_SOURCES) -> list[AptSource]:
    """Return the host's own sources of a Debian suite, those that Debian's archive keys sign.

    Where the host runs another suite, its own Debian mirror is asked for this one: a mirror has every suite that is
    maintained, and Debian's archive keyring signs them all. Third-party sources of the host are left out: what goes
    into an image is named by its settings.

    Raises:
        NoSource: the host has no source of Debian; the message names the setting to fill.
    """
    wanted = {suite, *(f"{suite}{pocket}" for pocket in _POCKETS)}
    debians = [line for line, keyring in _configured(etc) if _is_debians(keyring)]
    lines = [line for line in debians if line.suite in wanted] or _of_another_suite(debians, suite)
    if not lines:
        found = ", ".join(sorted({line.suite for line, _ in _configured(etc)})) or "none"
        raise NoSource(
            f"the ISO's packages are of {suite}, and this host has no Debian source for it (its suites: {found})",
            hint=f"set build.apt_sources in config/pipeline.yml: a line for {suite} and the keyring that signs it",
        )
    lenient = _host_leniency()
    return [
        AptSource(
            line=Line(line.uri, line.suite, line.components, (*line.options, *lenient)).text(DEBIAN_KEYRING),
            keyring=DEBIAN_KEYRING,
        )
        for line in lines
    ]


def _of_another_suite(lines: Iterable[Line], suite: str) -> list[Line]:
    """Return a host's sources of Debian as they are written for another suite, each once."""
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        base, dash, pocket = line.suite.partition("-")
        if (base in SUITES.values() or base in _ROLLING) and f"{dash}{pocket}" in ("", *_POCKETS):
            wanted = f"{suite}{dash}{pocket}"
            found.setdefault((line.uri, wanted), Line(line.uri, wanted, line.components, line.options))
    return list(found.values())


def _checked(source: AptSource, suite: str) -> Line:
    # Once more: the settings' lines were looked at where they stand, and the host's own were not.
    line = usable_line(source.line)
    base = line.suite.split("-")[0]
    if base in SUITES.values() and base != suite:
        raise BadSource(
            f"the ISO's packages are of {suite}, and the source {line.uri} {line.suite} is of {base}",
            hint=f"set build.apt_sources in config/pipeline.yml to sources for {suite}",
        )
    if not source.keyring.is_file():
        raise BadSource(f"the keyring {source.keyring} does not exist", hint="correct build.apt_sources[].keyring")
    return line


def _configured(etc: Path) -> Iterator[tuple[Line, Path | None]]:
    """Yield the host's sources and their keyrings, None where it trusts its global ones."""
    parts = etc / "sources.list.d"
    for path in [etc / "sources.list", *sorted(parts.glob("*.list"))]:
        if path.is_file():
            for text in path.read_text().splitlines():
                line = parsed_line(text.split("#")[0].replace("\t", " "))
                if line is not None:
                    yield line, _signed_by(line.options)
    for path in sorted(parts.glob("*.sources")):
        for stanza in stanzas(path.read_text()):
            yield from _deb822(stanza)


def _deb822(stanza: Stanza) -> Iterator[tuple[Line, Path | None]]:
    if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes").lower() in ("no", "false", "0"):
        return
    signed_by = stanza.get("signed-by", "")
    # A key written into the stanza itself is in no archive keyring.
    keyring = Path(signed_by.split()[0]) if signed_by.startswith("/") else Path("/") if signed_by else None
    components = "".join(f" {word}" for word in stanza.get("components", "").split())
    for uri in stanza.get("uris", "").split():
        for suite in stanza.get("suites", "").split():
            yield Line(uri, suite, components), keyring


def _signed_by(options: Iterable[str]) -> Path | None:
    for option in options:
        name, _, value = option.partition("=")
        if name.lower() == "signed-by":
            return Path(value.split(",")[0])
    return None


def _is_debians(keyring: Path | None) -> bool:
    return keyring is None or keyring.name.startswith("debian-archive-")


def _host_leniency() -> tuple[str, ...]:
    """Return the options for a host whose administrator accepts old indexes, as of a frozen mirror."""
    answers = run(["apt-config", "shell", "v", "Acquire::Check-Valid-Until/b", "d", "Acquire::Check-Date/b"]).text
    settings = dict(word.split("=", 1) for word in shlex.split(answers))
    names = {"v": "check-valid-until=no", "d": "check-date=no"}
    return tuple(option for name, option in names.items() if settings.get(name) == "false")
