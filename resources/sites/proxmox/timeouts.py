"""How long to wait for a Proxmox VE node, and how often to ask: one table."""

from dataclasses import dataclass

from resources.sites.timeouts import Timeouts


@dataclass(frozen=True)
class ProxmoxTimeouts(Timeouts):
    """All in seconds.

    Attributes:
        outage: also for a lock to be free, and for a late listing. Short: a person may be waiting for the answer.
        first_poll: between two looks at a worker.
        retry: until a call is tried again that failed with what passes; it doubles.
        task: for one worker: a download over a slow line, an import to a busy storage.
        silence: for the node to tell of a running worker again. A node that restarts is back within; one that is not
            will not tell about its worker, which died with it.
        smoke: for a clone's guest agent, from its start on.
    """

    request: float = 30.0
    outage: float = 15.0
    first_poll: float = 2.0
    longest_poll: float = 2.0
    lifetime: float = 6 * 3600.0
    retry: float = 0.5
    task: float = 3600.0
    silence: float = 300.0
    smoke: float = 600.0
