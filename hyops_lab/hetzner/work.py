"""What actions do, after the answer that announces them: one asyncio task each, resumed after a restart.

An action that a killed stand-in left running is carried out again from its start; every effect may be repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from hyops_assets.contract.errors import HyopsError, said_by_system
from hyops_lab.hetzner.catalogue import SERVER_TYPES
from hyops_lab.hetzner.confinement import CellFailed
from hyops_lab.hetzner.disks import GIGABYTE, copy_sparse, create_dirty_disk
from hyops_lab.hetzner.project import Failure, Image, Project, Server, Task, remove_disk
from hyops_lab.hetzner.rescue import RescueHost

_LOOK_SECONDS = 0.005

Delay = float | Callable[[], bool]
"""Seconds; or a condition that is looked at until it holds."""

Delays = Mapping[str, Delay]
"""What actions wait for before their work, by command: `create_image`, `start_server` …; nothing where absent.

`image_available` is no action: it is how long after its action's success a snapshot becomes available.
"""


class _Failed(Exception):
    """An action that is to fail."""

    def __init__(self, why: Failure) -> None:
        super().__init__(why.message)
        self.why = why


async def _wait(delay: Delay) -> None:
    """Wait a delay out."""
    if not callable(delay):
        await asyncio.sleep(delay)
        return
    while not delay():
        await asyncio.sleep(_LOOK_SECONDS)


def _one_line(error: OSError | HyopsError) -> str:
    """Return an error in one line."""
    return error.message if isinstance(error, HyopsError) else said_by_system(error)


class Worker:
    """Starts actions and carries them out.

    Attributes:
        failing: why the next actions fail, by command, each once.
    """

    def __init__(self, project: Project, rescue: RescueHost, delays: Delays) -> None:
        self._project = project
        self._rescue = rescue
        self._delays = delays
        self.failing: dict[str, list[Failure]] = {}
        self._jobs: dict[int, asyncio.Task[None]] = {}
        self._effects: dict[str, Callable[[Task], Awaitable[None]]] = {
            "create_server": self._create_server,
            "start_server": self._boot_server,
            "reset_server": self._boot_server,
            "stop_server": self._stop_server,
            "shutdown_server": self._stop_server,
            "delete_server": self._delete_server,
            "create_image": self._create_image,
        }

    def begin(
        self, command: str, *resources: tuple[str, int], after: Task | None = None, pretend: bool = False
    ) -> Task:
        """Start an action on resources, once the action `after` has ended, and return it; `pretend` does no work."""
        task = Task(
            id=self._project.new_id(),
            command=command,
            resources=list(resources),
            started=self._project.now(),
            after=after.id if after else None,
            pretended=pretend,
        )
        self._project.contents.tasks[task.id] = task
        self._project.save()
        self._launch(task)
        return task

    async def resume(self) -> None:
        """Take up what a stopped stand-in left: running actions, and servers that were up."""
        for task in sorted(self._project.contents.tasks.values(), key=lambda each: each.id):
            if task.status == "running":
                self._launch(task)
        for image in self._project.contents.images.values():
            if image.status == "creating" and not self._project.running_tasks("image", image.id):
                self._jobs[image.id] = asyncio.ensure_future(self._make_available(image, 0.0))
        for server in self._project.contents.servers.values():
            if server.status == "running" and not self._project.running_tasks("server", server.id):
                try:
                    await self._listen(server)
                except CellFailed:
                    # It ran before this host lost the right to confine it; the rest of the lab serves.
                    server.status, server.boot = "off", None

    async def stop(self) -> None:
        """Stop working; running actions stay running on disk."""
        for job in self._jobs.values():
            job.cancel()
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    def _launch(self, task: Task) -> None:
        self._jobs[task.id] = asyncio.ensure_future(self._carry_out(task))

    async def _carry_out(self, task: Task) -> None:
        if task.after is not None and task.after in self._jobs:
            await self._jobs[task.after]
        await _wait(self._delays.get(task.command, 0.0))
        effect = None if task.pretended else self._effects.get(task.command)
        failing = self.failing.get(task.command)
        try:
            if failing:
                raise _Failed(failing.pop(0))
            if effect is not None:
                await effect(task)
        except (OSError, HyopsError, _Failed) as error:
            # What is not caught here would leave the action running for ever, and its client waiting.
            why = error.why if isinstance(error, _Failed) else Failure(code="action_failed", message=_one_line(error))
            task.status, task.error = "error", why
            if task.command == "create_image" and (image := self._image(task)):
                image.status = "unavailable"
        else:
            task.status = "success"
        task.finished = self._project.now()
        self._project.save()

    def _server(self, task: Task) -> Server | None:
        ids = [id_ for kind, id_ in task.resources if kind == "server"]
        return self._project.contents.servers.get(ids[0]) if ids else None

    def _image(self, task: Task) -> Image | None:
        ids = [id_ for kind, id_ in task.resources if kind == "image"]
        return self._project.contents.images.get(ids[0]) if ids else None

    async def _create_server(self, task: Task) -> None:
        if server := self._server(task):
            size = SERVER_TYPES[server.type_name].disk * GIGABYTE
            origin = self._project.image_disk(server.image_id)
            disk = self._project.server_disk(server.id)
            if origin.exists():
                await asyncio.to_thread(copy_sparse, origin, disk)
            else:
                await asyncio.to_thread(create_dirty_disk, disk, size)
            server.status = "off"

    async def _boot_server(self, task: Task) -> None:
        if server := self._server(task):
            server.status = "starting"
            server.boot = "rescue" if server.rescue_enabled else "disk"
            # The first boot into the rescue system uses it up (https://docs.hetzner.cloud, "Enable Rescue Mode").
            server.rescue_enabled = False
            await self._listen(server)
            server.status = "running"

    async def _listen(self, server: Server) -> None:
        async def power_down(word: str) -> None:
            await self._rescue.halt(server.id)
            if word == "reboot":
                self.begin("reset_server", ("server", server.id))
                return
            server.status, server.boot = "off", None
            self._project.save()

        in_rescue = server.boot == "rescue"
        await self._rescue.boot(
            server.id,
            address=server.address,
            hostname="rescue" if in_rescue else server.name,
            disk=self._project.server_disk(server.id),
            keys=server.rescue_keys if in_rescue else server.own_keys,
            power_down=power_down,
            root_password=server.rescue_password if in_rescue else "",
            user_data=server.user_data,
        )

    async def _stop_server(self, task: Task) -> None:
        if server := self._server(task):
            server.status = "stopping"
            await self._rescue.halt(server.id)
            server.status, server.boot = "off", None

    async def _delete_server(self, task: Task) -> None:
        if server := self._server(task):
            await self._rescue.halt(server.id)
            remove_disk(self._project.server_disk(server.id))
            del self._project.contents.servers[server.id]

    async def _create_image(self, task: Task) -> None:
        server, image = self._server(task), self._image(task)
        if server and image:
            source, target = self._project.server_disk(server.id), self._project.image_disk(image.id)
            held = await asyncio.to_thread(copy_sparse, source, target)
            image.image_gb = round(held / GIGABYTE, 4)
            later = self._delays.get("image_available", 0.0)
            if later:
                self._jobs[image.id] = asyncio.ensure_future(self._make_available(image, later))
            else:
                image.status = "available"

    async def _make_available(self, image: Image, later: Delay) -> None:
        await _wait(later)
        image.status = "available"
        self._project.save()
