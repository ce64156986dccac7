"""The metadata service of one server: what Hetzner reports to it alone.

https://docs.hetzner.cloud/reference/cloud#server-metadata; in the cell, curl finds it on 169.254.169.254.
"""

from aiohttp import web

_ROOT = "/hetzner/v1"


class Metadata:
    """Serves one server's metadata on loopback for as long as it runs.

    Args:
        server_id: of the server.
        user_data: as it was given at its creation; there is none where empty.
    """

    def __init__(self, server_id: int, user_data: str) -> None:
        self._server_id = server_id
        self._user_data = user_data
        self._runner: web.AppRunner | None = None
        self.place = ""
        """Host and port, once it listens."""

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_get(f"{_ROOT}/metadata/instance-id", self._serve_id)
        app.router.add_get(f"{_ROOT}/userdata", self._serve_user_data)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.place = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve_id(self, _: web.Request) -> web.Response:
        return web.Response(text=str(self._server_id))

    async def _serve_user_data(self, _: web.Request) -> web.Response:
        if not self._user_data:
            raise web.HTTPNotFound
        return web.Response(text=self._user_data)
