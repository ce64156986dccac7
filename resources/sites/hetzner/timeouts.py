"""How long to wait for Hetzner, and how often to ask: one table."""

from dataclasses import dataclass

from resources.sites.timeouts import Timeouts


@dataclass(frozen=True)
class HetznerTimeouts(Timeouts):
    """All in seconds.

    Attributes:
        request: hcloud repeats a request that timed out, five times.
        rate: for the API to grant a request again that it refused for the project's rate (429).
        longest_poll: 3,600 requests an hour is the project's limit, for all its users together.
        action: for one action other than a snapshot.
        snapshot: users report more than ten minutes for custom images.
        boot: until a started server is not off any more.
        ssh: until the rescue system lets us in.
        off: until a server that was asked to shut down is off.
        locked: for a resource to be free of its running actions.
        write: for the whole disk to be written, and again for it to be read back.
    """

    request: float = 60.0
    outage: float = 60.0
    first_poll: float = 0.2
    longest_poll: float = 15.0
    lifetime: float = 4 * 3600.0
    rate: float = 300.0
    action: float = 600.0
    snapshot: float = 2700.0
    boot: float = 60.0
    ssh: float = 300.0
    off: float = 60.0
    locked: float = 60.0
    write: float = 3600.0
