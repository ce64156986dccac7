"""A server that sends a client elsewhere, to see whether it goes there."""

from pathlib import Path

from aiohttp import web

from hyops_lab.authority import Authority
from hyops_lab.static import StaticServer
from hyops_lab.trace import Trace


class Redirecting(StaticServer):
    """Redirects the paths in `targets` (default: every path, to itself) and serves the others."""

    def __init__(
        self, directory: Path, trace: Trace, authority: Authority, targets: dict[str, str] | None = None
    ) -> None:
        super().__init__("redirecting", directory, trace, authority)
        self.targets = targets

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        target = request.path if self.targets is None else self.targets.get(request.path)
        return (
            await super()._answer(request)
            if target is None
            else web.Response(status=302, headers={"Location": target})
        )
