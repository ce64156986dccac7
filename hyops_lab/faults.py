"""Faults a stand-in commits on purpose: the nth matching call is answered wrongly, late, not at all, or kills.

One table per stand-in; each rule names calls by method and path. What a fault does to the wire is done by the
stand-in's own middleware. Besides HTTP's methods there are `SSH` (a command on a server) and `IMPORT` (a node copies
an image onto a volume).
"""

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

_WATCH_SECONDS = 0.002
_ALLOCATION_BYTES = 512


@dataclass(frozen=True)
class Answer:
    """Answer with an error instead of doing what was asked. `code` and `message` as the vendor words them."""

    status: int
    code: str
    message: str = "injected by the lab"


@dataclass(frozen=True)
class Page:
    """Answer with an HTML page instead of the API's JSON: as a proxy in front refuses, or asks for a login."""

    status: int
    html: str = "<html><head><title>Sorry</title></head><body><h1>Try again later</h1></body></html>"


@dataclass(frozen=True)
class Delay:
    """Do what was asked, but answer after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class DropAfterCommit:
    """Do what was asked, then cut the connection instead of answering."""


@dataclass(frozen=True)
class Pretend:
    """Answer as if it were done, and do nothing: what a vendor's half-broken host does."""


@dataclass(frozen=True)
class Kill:
    """Kill a client's whole process group by SIGKILL, and answer nothing.

    Attributes:
        process_group: the group, every process of which dies.
        when: `before` what was asked for is done (it never is), `after` it was done and before it is answered, or
            in its midst: after so many bytes of what the call sends or writes.
    """

    process_group: int
    when: Literal["before", "after"] | int = "before"

    def strike(self) -> None:
        """Kill now. It is no error that no process is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.process_group, signal.SIGKILL)


Action = Answer | Page | Delay | DropAfterCommit | Pretend | Kill


@dataclass(frozen=True)
class Rule:
    """Which calls a fault hits.

    Attributes:
        method: `POST`.
        path: a regular expression that must match the whole path below the API's root.
        action: what happens.
        nth: the matching calls that are hit, counted from 1; empty means every one.
        polls_once: whether a call that repeats the one before it is not counted: how often a client looks at the
            same thing depends on the machine's speed.
    """

    method: str
    path: str
    action: Action
    nth: frozenset[int] = frozenset({1})
    polls_once: bool = False


@dataclass
class FaultTable:
    """The rules of one stand-in, and how often each matched. The first rule that is due wins."""

    rules: list[Rule] = field(default_factory=list)
    matched: Counter[Rule] = field(default_factory=Counter)
    _last: tuple[str, str] = ("", "")

    def add(self, rule: Rule) -> None:
        """Put a rule behind the others; its count starts now."""
        self.matched.pop(rule, None)
        self.rules.append(rule)

    def due(self, method: str, path: str) -> Action | None:
        """Count a call and return the fault it is due, if any."""
        found: Action | None = None
        repeated, self._last = self._last == (method, path), (method, path)
        for rule in list(self.rules):
            if rule.method != method or not re.fullmatch(rule.path, path) or (rule.polls_once and repeated):
                continue
            self.matched[rule] += 1
            if found is None and (not rule.nth or self.matched[rule] in rule.nth):
                found = rule.action
        return found


def kill_at(fault: Action | None, when: Literal["before", "after"]) -> bool:
    """Kill if the fault is due at this moment, and return whether it was."""
    if not isinstance(fault, Kill) or fault.when != when:
        return False
    fault.strike()
    return True


def kill_between(fault: Action | None, passed: int, now: int) -> None:
    """Kill if the byte at which the fault is due is among those that passed just now."""
    if isinstance(fault, Kill) and isinstance(fault.when, int) and passed < fault.when <= now:
        fault.strike()


@asynccontextmanager
async def killing_as_it_grows(fault: Action | None, path: Path) -> AsyncIterator[None]:
    """Watch a sparse file while the block lasts, and kill once it holds so many more bytes than at its emptiest."""
    if not isinstance(fault, Kill) or not isinstance(fault.when, int):
        yield
        return
    growth = _Growth(path)
    watching = asyncio.create_task(_watch(fault, fault.when, growth))
    try:
        yield
        # Done before it was looked at again: the byte has passed all the same.
        if not watching.done() and growth.grown_bytes() >= fault.when:
            fault.strike()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


class _Growth:
    """How many more bytes a sparse file holds than at its emptiest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._least = _allocated_bytes(path)

    def grown_bytes(self) -> int:
        now = _allocated_bytes(self._path)
        self._least = min(self._least, now)
        return now - self._least


async def _watch(kill: Kill, wanted: int, growth: _Growth) -> None:
    while growth.grown_bytes() < wanted:
        await asyncio.sleep(_WATCH_SECONDS)
    kill.strike()


def _allocated_bytes(path: Path) -> int:
    return path.stat().st_blocks * _ALLOCATION_BYTES if path.exists() else 0
