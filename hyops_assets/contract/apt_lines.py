"""A one-line source of apt (sources.list(5)), taken apart; and what may not stand in one that settings name.

A line that would switch signatures off is refused in any case.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.urls import BadUrl, Url

_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>(?:\s+\S+)*)\s*")
_TAKEN = frozenset(
    {
        *("arch", "lang", "target", "pdiffs", "by-hash", "snapshot", "signed-by"),
        *("check-valid-until", "valid-until-min", "valid-until-max", "check-date", "date-max-future"),
    }
)
"""Options that leave it at what the keyring signs; each may be written with `=`, `+=` or `-=`."""
_SCHEMES = frozenset({"https", "http", "file"})
_UNSIGNED = ("trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure")


class BadSource(Refused):
    """A source line that apt would not understand, or that may not be used."""


@dataclass(frozen=True)
class Line:
    """A one-line source, taken apart."""

    uri: str
    suite: str
    components: str = ""
    options: tuple[str, ...] = ()

    def text(self, keyring: Path) -> str:
        """Return the line for apt, signed by this keyring and no other."""
        options = [option for option in self.options if _name(option) != "signed-by"]
        options.append(f"signed-by={keyring}")
        return f"deb [{' '.join(options)}] {self.uri} {self.suite}{self.components}"


def parsed_line(text: str) -> Line | None:
    """Return a source line, taken apart; None where it is none."""
    match = _LINE.fullmatch(text.strip())
    # A line break would be white space to the pattern, and a second source to apt.
    if match is None or not text.strip().isprintable():
        return None
    components = "".join(f" {word}" for word in match["components"].split())
    return Line(match["uri"], match["suite"], components, tuple((match["options"] or "").split()))


def usable_line(text: str) -> Line:
    """Return a source line that may be used, taken apart.

    Raises:
        BadSource: not a `deb` line, one whose URI holds a password or could be read in two ways, or one that switches
            signatures off.
    """
    line = parsed_line(text)
    if line is None:
        raise BadSource("it is not a source", hint="write: deb [options] https://host/path suite component")
    _require_plain(line)
    for option in line.options:
        if _name(option) in _UNSIGNED:
            raise BadSource(
                f"{option!r} would switch signatures off", hint="remove it and name the keyring that signs"
            )
        if _name(option) not in _TAKEN:
            raise BadSource(f"{option!r} is no option that is taken", hint=f"take one of {', '.join(sorted(_TAKEN))}")
    return line


def _name(option: str) -> str:
    return option.partition("=")[0].rstrip("+-").lower()


def _require_plain(line: Line) -> None:
    """Refuse a URI with credentials, and one of http(s) that apt might read otherwise than we do."""
    scheme, _, rest = line.uri.partition(":")
    if "@" in rest.lstrip("/").partition("/")[0]:
        # The URI itself is not repeated: an error is logged.
        raise BadSource(f"a source of {line.suite} holds credentials", hint="use a mirror that needs none")
    if scheme.lower() not in _SCHEMES:
        # Others run a program of the host or lead elsewhere: ssh, mirror, tor+https.
        raise BadSource(f"a source of {line.suite} is not at an https, http or file URI", hint="name one that is")
    if scheme.lower() != "file":
        try:
            Url.parse(line.uri, schemes=("https", "http"))
        except BadUrl as error:
            raise BadSource(f"a source of {line.suite}: {error.message}", hint=error.hint) from error
