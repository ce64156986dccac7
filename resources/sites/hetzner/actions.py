"""Awaiting what Hetzner does after it answered: actions that run, and resources that one of them holds.

The library waits two minutes for any action; a snapshot takes longer. It retries no `locked`.
"""

from collections.abc import Callable
from typing import TypeVar

from hcloud.actions import BoundAction

from resources.sites.hetzner.errors import ActionFailed, Locked, translated
from resources.sites.hetzner.timeouts import HetznerTimeouts

Done = TypeVar("Done")


def wait(action: BoundAction, doing: str, *, timeouts: HetznerTimeouts, within: float) -> None:
    """Wait for an action's success.

    Raises:
        ActionFailed: it ended in an error, or not within so many seconds.
    """
    if settle(action, doing, timeouts=timeouts, within=within) != "success":
        why = action.error or {"code": str(action.status), "message": "it did not end in time"}
        code, said = why["code"], why["message"]
        raise ActionFailed(
            f"{doing}: {said} ({code}, action {action.id})", hint="try again; see the console", code=code, said=said
        )


def settle(action: BoundAction, doing: str, *, timeouts: HetznerTimeouts, within: float) -> str:
    """Wait for an action's end, whatever it is, and return its status; `running` where it did not end in time."""

    def ended() -> str | None:
        if action.status == "running":
            with translated(doing):
                action.reload()
        return None if action.status == "running" else action.status

    return timeouts.poll(ended, within=within) or "running"


def unlocked(doing: str, call: Callable[[], Done], *, timeouts: HetznerTimeouts) -> Done:
    """Do something as soon as no action holds the resource.

    Raises:
        Locked: it stays held.
    """
    refused: list[Locked] = []

    def attempt() -> tuple[Done] | None:
        try:
            with translated(doing):
                return (call(),)
        except Locked as error:
            refused.append(error)
            return None

    done = timeouts.poll(attempt, within=timeouts.locked)
    if done is None:
        raise refused[-1]
    return done[0]
