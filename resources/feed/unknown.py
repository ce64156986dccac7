"""A release that nothing leads to, beside what the feed does announce: a version is mistyped more often than lost."""

from collections.abc import Sequence
from difflib import get_close_matches

from hyops_assets.contract.errors import LeadsNowhere

_MOST_LISTED = 5
_ALIKE = 0.85
"""Of 1: two rolling releases of one month are that near, `1.5` and a rolling release are not."""


class ReleaseUnknown(LeadsNowhere):
    """Neither the feed nor a mirror leads to this release."""


def unknown_release(version: str, announced: Sequence[str], *, asked: Sequence[str] = ()) -> ReleaseUnknown:
    """Return the error for a release that is nowhere: what the feed has, the nearest to it, and what was asked.

    Args:
        version: that was asked for.
        announced: by the feed, newest first; empty where it has none or does not answer.
        asked: what each place answered that was asked for the ISO.
    """
    known = ", ".join(announced[:_MOST_LISTED]) or "nothing, or does not answer"
    more = f" and {len(announced) - _MOST_LISTED} older" if len(announced) > _MOST_LISTED else ""
    near = get_close_matches(version, announced, n=1, cutoff=_ALIKE)
    hints = [
        f"if {near[0]} was meant, name it" if near else "see whether the version is the one that was meant",
        "an ISO elsewhere is named with source_iso_url",
        *([f"asked for it: {'; '.join(asked)}"] if asked else ["or set feed.mirror in config/pipeline.yml"]),
    ]
    return ReleaseUnknown(
        f"no ISO of {version} is to be found; the feed announces {known}{more}",
        hint="; ".join(hints),
    )
