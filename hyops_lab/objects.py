"""The lab's object store: what the product publishes into a directory, served for anyone over TLS.

The product writes the files itself, as it would for a web server of one's own; this end only reads.
"""

from pathlib import Path

from hyops_lab.authority import Authority
from hyops_lab.static import StaticServer
from hyops_lab.trace import Trace


class ObjectServer(StaticServer):
    """Public objects under `url`, with ranges; versioned names may be cached for ever."""

    def __init__(self, directory: Path, trace: Trace, authority: Authority, *, port: int = 0) -> None:
        super().__init__("objects", directory, trace, authority, port=port)
