"""File URLs: what a directory that serves as object repository calls its objects (RFC 8089).

Read in one place: a reader that dropped the host or the query would open another file than the one that was checked.
"""

import re
from pathlib import Path
from urllib.parse import unquote

from hyops_assets.contract.urls import BadUrl

_FILE = re.compile(r"(?i:file)://(?P<host>[^/?#]*)(?P<path>/[^?#]*)(?P<rest>.*)", re.DOTALL)


def local_file(url: str) -> Path | None:
    """Return the path on this host that a file URL names; None where it is no file URL.

    Raises:
        BadUrl: it is one, and names another host, a query or a fragment, leads upwards or has a NUL.
    """
    if url[:5].lower() != "file:":
        return None
    match = _FILE.fullmatch(url)
    path = unquote(match["path"]) if match else ""
    if match is None or match["host"] or match["rest"] or "\0" in path or ".." in path.split("/"):
        raise BadUrl(f"{url[:200]!a} is no URL of a file on this host", hint="write file:///<absolute path>")
    return Path(path)
