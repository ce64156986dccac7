"""A call on its way from the server to what does it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from hyops_lab.proxmox.answers import Parameters


@dataclass
class Call:
    """One request of a known caller: the components of its path, and the parameters of query and body.

    `upload` is the spooled file of a multipart request; who takes it moves it away.
    """

    path: dict[str, str]
    parameters: dict[str, str]
    upload: Path | None = None

    @property
    def vmid(self) -> int:
        """The VMID in the path."""
        return int(self.path["vmid"])

    @property
    def node(self) -> str:
        """The node in the path."""
        return self.path["node"]

    @property
    def storage(self) -> str:
        """The storage in the path."""
        return self.path["storage"]


Handler = Callable[[Call], Awaitable[object]]
Route = tuple[str, str, Parameters, Handler]
