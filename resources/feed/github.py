"""What GitHub itself knows of a release that the feed announces: a second witness, never the one who decides.

The signature decides about bytes. GitHub's own record of a release contradicts a feed that names a tag which does not
exist (August 2024), a draft, or a release whose ISO or signature was never uploaded; and it knows the ISO's SHA-256
(`digest` of an asset, since mid-2025). REST API: `GET /repos/{owner}/{repo}/releases/tags/{tag}`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hyops_assets.contract.canonical import Sha256
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.version import iso_file_name
from resources.answers import Pace, TooManyBytes
from resources.feed.parse import Release
from resources.public_http import NotFound, anonymous_client, opened

MAX_ANSWER_BYTES = 4 << 20
"""The body of a release holds its change log."""
_DOWNLOAD = re.compile(r"https://[^/]+/(?P<repository>[^/]+/[^/]+)/releases/download/(?P<tag>[^/]+)/[^/]+")
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


@dataclass(frozen=True)
class LookedUp:
    """What came of a look.

    Attributes:
        status: `confirmed`; `contradicted`: GitHub answers and says otherwise; `unknown`: it could not be asked, which
            speaks neither for nor against a release; `not asked`: no release of GitHub's, or no API is configured.
        reason: why, in words; empty where it is confirmed.
        iso_sha256: of the ISO that GitHub holds, where it says so.
    """

    status: Literal["confirmed", "contradicted", "unknown", "not asked"]
    reason: str = ""
    iso_sha256: Sha256 | None = None


class _Asset(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    state: str = "uploaded"
    digest: str | None = None


class _GithubRelease(BaseModel):
    model_config = ConfigDict(extra="ignore")

    tag_name: str
    draft: bool = False
    assets: list[_Asset]


def look_up(release: Release, api: str | None, *, timeout_seconds: float) -> LookedUp:
    """Ask GitHub about a release.

    Args:
        release: as the feed announces it.
        api: base URL of GitHub's REST API; None: it is not asked.
        timeout_seconds: for all of its answer.
    """
    place = _DOWNLOAD.fullmatch(release.url)
    if api is None or place is None:
        return LookedUp("not asked", "no GitHub API is configured" if api is None else "it is no download of GitHub's")
    url = f"{api.rstrip('/')}/repos/{place['repository']}/releases/tags/{place['tag']}"
    try:
        with (
            anonymous_client(Pace.within(timeout_seconds)) as client,
            opened(client, url, headers=_HEADERS) as answer,
        ):
            content = answer.read(MAX_ANSWER_BYTES)
        return _compared(release, _GithubRelease.model_validate_json(content))
    except NotFound:
        return LookedUp("contradicted", f"GitHub has no release {release.version} in {place['repository']}")
    except TooManyBytes:
        return LookedUp("unknown", f"{url} answers more than {MAX_ANSWER_BYTES} bytes")
    except HyopsError as error:
        return LookedUp("unknown", error.message)
    except ValidationError:
        return LookedUp("unknown", f"{url} answers with something else than a release")


def _compared(release: Release, found: _GithubRelease) -> LookedUp:
    if found.tag_name != release.version or found.draft:
        what = "a draft" if found.draft else f"of the tag {found.tag_name[:80]!a}"
        return LookedUp("contradicted", f"GitHub's release is {what}, not {release.version}")
    uploaded = {asset.name: asset for asset in found.assets if asset.state == "uploaded"}
    name = iso_file_name(release.version)
    missing = [wanted for wanted in (name, f"{name}.minisig") if wanted not in uploaded]
    if missing:
        return LookedUp("contradicted", f"GitHub's release {release.version} has no {' and no '.join(missing)}")
    algorithm, _, digest = (uploaded[name].digest or "").partition(":")
    known = algorithm == "sha256" and re.fullmatch("[0-9a-f]{64}", digest)
    return LookedUp("confirmed", iso_sha256=digest if known else None)
