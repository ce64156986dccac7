"""What an ISO says of itself: version.json and /opt/vyatta/etc/version.

What belongs here: reading them, whatever they hold. Whether they agree is decided in `iso.py`.
"""

import re
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.intake.volume import BadIso

MAX_FACTS_BYTES = 64 << 10
"""A real version.json has under a thousand bytes."""

_BUILT_ON = "%a %d %b %Y %H:%M UTC"
_INSTALLED = re.compile(r"^Version:[ \t]*(\S+)[ \t\r]*$", re.MULTILINE)


class IsoFacts(BaseModel):
    """What an ISO's version.json says of itself. Keys beyond these are VyOS' own affair."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    version: str
    flavor: str
    architecture: str
    built_by: str = ""
    built_on: str = ""
    build_uuid: str = ""
    build_git: str = ""
    build_branch: str = ""
    build_type: str = ""

    @property
    def built_at(self) -> datetime | None:
        """When it was built; None where `built_on` is in no form we know."""
        try:
            return datetime.strptime(self.built_on, _BUILT_ON).replace(tzinfo=UTC)
        except ValueError:
            return None


def parse_facts(content: bytes, where: str) -> IsoFacts:
    """Read a version.json.

    Args:
        content: the file.
        where: which of the two it is, for the error.

    Raises:
        BadIso: no JSON object in UTF-8, too long, or a key is missing or of another type.
    """
    if len(content) > MAX_FACTS_BYTES:
        raise _bad(where, f"it has more than {MAX_FACTS_BYTES} bytes")
    try:
        # Read by pydantic: json.loads lets a lone surrogate through, which no evidence could be written with.
        return IsoFacts.model_validate_json(content)
    except ValidationError as error:
        raise _bad(where, wrong_values(error, "it")) from error


def installed_version(content: bytes) -> str | None:
    """Return the release that /opt/vyatta/etc/version names; None where it names none."""
    match = _INSTALLED.search(content[:MAX_FACTS_BYTES].decode(errors="replace"))
    return match[1] if match else None


def _bad(where: str, why: str) -> BadIso:
    return BadIso(f"{where} is not usable: {why}", hint="fetch the ISO again, from the vendor")
