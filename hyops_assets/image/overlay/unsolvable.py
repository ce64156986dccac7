"""Why packages cannot be added to an ISO, read from what apt prints (apt-get's "unmet dependencies").

Pure: text in, an error out that names what is wanted, what the ISO has, and what to do next.
"""

import re
from collections.abc import Iterator, Sequence

from hyops_assets.contract.errors import HyopsError

_UNMET = re.compile(
    r"^ +(?:(?P<package>\S+) : )?(?P<kind>(?:Pre)?Depends|Conflicts|Breaks): (?P<wanted>\S+(?: \([^)]*\))?) "
    r"but (?:(?P<present>\S+) is to be installed|it is not .*)$",
    re.MULTILINE,
)
"""A package's second and later lines leave its name out."""

_REMOVED = re.compile(r"^The following packages will be REMOVED:\n(?P<names>(?:  .*\n)+)", re.MULTILINE)
_VERBS = {"Depends": "needs", "PreDepends": "needs", "Conflicts": "conflicts with", "Breaks": "breaks"}

_CHECK = "check build.packages and build.apt_sources in config/pipeline.yml against the ISO's suite"
_TOO_OLD = (
    "the sources are not of the ISO's time: build from a newer ISO, or set build.apt_sources to an archive as of the "
    "ISO's date, such as https://snapshot.debian.org/archive/debian/<YYYYMMDD>T000000Z/"
)
_REPLACES = "leave out of build.packages what conflicts with the ISO, or name sources of the ISO's time"


class Unsolvable(HyopsError):
    """The packages cannot be installed beside what the ISO holds."""


def unsolvable(packages: Sequence[str], printed: str, otherwise: str) -> Unsolvable:
    """Return the error for a solution that apt did not find, or may not use.

    Args:
        packages: what was asked for.
        printed: all that apt-get printed.
        otherwise: what to say where it tells no reason of a known form.
    """
    wanted = f"{', '.join(packages)} cannot be added beside the ISO's packages"
    removed = _REMOVED.search(printed)
    if removed:
        names = ", ".join(removed["names"].split())
        return Unsolvable(f"{wanted}: apt would remove {names} of the ISO", hint=_REPLACES)
    reasons = list(_reasons(printed))
    if not reasons:
        return Unsolvable(f"{wanted}: {otherwise}", hint=_CHECK)
    too_old = any("the ISO has" in reason for reason in reasons)
    return Unsolvable(f"{wanted}: {'; '.join(reasons)}", hint=_TOO_OLD if too_old else _CHECK)


def _reasons(printed: str) -> Iterator[str]:
    package = ""
    for unmet in _UNMET.finditer(printed):
        package = unmet["package"] or package
        found = f"the ISO has {unmet['present']}" if unmet["present"] else "no source has it in a fitting version"
        yield f"{package} {_VERBS[unmet['kind']]} {unmet['wanted']}, and {found}"
