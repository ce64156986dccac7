"""Where a run is killed: points made from the trace of one that was not. Decides; touches nothing.

Every call is a point before it is done; every changing call, and every command on a server, one more after it was
done and before it was answered; and every stream has points in its midst.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hyops_lab.faults import Kill, Rule
from hyops_lab.trace import Request

Table = Literal["hetzner", "proxmox", "objects"]
"""Whose table of faults: commands on a server are calls of Hetzner's stand-in."""

_TABLES: dict[str, Table] = {"hetzner": "hetzner", "rescue": "hetzner", "proxmox": "proxmox", "objects": "objects"}
_TRANSFERS = (1, 4, 8, 12, 15)
_WRITES = (1, 2, 4, 6, 8, 10, 12, 14, 15)
"""Stages of what is brought and of what is written to a disk, in sixteenths."""
_MIB = 1 << 20
_VMID = "<vmid>"
_PROXMOX_ROOT = "/api2/json"
_SHAPES = (
    # A worker's id holds the time of its start.
    (re.compile(r"UPID:[^/]+"), "UPID", "UPID:[^/]+"),
    (re.compile(r"(?<=/)\d+(?=/|$)"), "<id>", r"\d+"),
)


@dataclass(frozen=True)
class Point:
    """One place to kill at: the nth call of its kind, and when; 0 stands for whichever call the byte passes in."""

    table: Table
    method: str
    path: str
    nth: int
    when: Literal["before", "after"] | int

    def rule(self, process_group: int) -> Rule:
        """Return the rule that kills a process group here."""
        pattern = re.escape(self.path)
        for _, shown, matched in _SHAPES:
            pattern = pattern.replace(re.escape(shown), matched)
        pattern = pattern.replace(re.escape(_VMID), r"\d+")
        nth = frozenset({self.nth} if self.nth else ())
        polls = is_poll(self.table, self.method)
        return Rule(self.method, pattern, Kill(process_group, self.when), nth, polls_once=polls)

    def __str__(self) -> str:
        which = f" #{self.nth}" if self.nth > 1 else ""
        moment = f"at {self.when / _MIB:.1f} MiB" if isinstance(self.when, int) else self.when
        return f"{self.method} {self.path}{which}, {moment}"


def is_poll(table: Table, method: str) -> bool:
    """Tell whether a call that is made again at once is a look whether something is done by now."""
    return method == "GET" and table != "objects"


def points_of(requests: Sequence[Request]) -> list[Point]:
    """Return every point of a run, in the order in which it comes to them."""
    return [*_calls(requests), *_streams(requests)]


def _calls(requests: Iterable[Request]) -> Iterator[Point]:
    counted: Counter[tuple[str, str, str]] = Counter()
    last: dict[str, tuple[str, str]] = {}
    for request in requests:
        table = _TABLES.get(request.system)
        if table is None:
            continue
        path = request.path.removeprefix(_PROXMOX_ROOT)
        repeated, last[table] = last.get(table) == (request.method, path), (request.method, path)
        if repeated and is_poll(table, request.method):
            # How often it is made depends on the machine.
            continue
        shape = _shape(path)
        counted[table, request.method, shape] += 1
        nth = counted[table, request.method, shape]
        yield Point(table, request.method, shape, nth, "before")
        if request.mutating or request.system == "rescue":
            yield Point(table, request.method, shape, nth, "after")


def _streams(requests: Sequence[Request]) -> Iterator[Point]:
    """Yield points in the midst of what is long: a download, an upload, what reaches a disk."""
    largest = max(requests, key=lambda request: max(request.body_bytes, request.answer_bytes))
    size, path = max(largest.body_bytes, largest.answer_bytes), largest.path.removeprefix(_PROXMOX_ROOT)
    if size < _MIB:
        return
    if largest.system != "rescue":
        yield from _stages(_TABLES[largest.system], largest.method, path, size, _TRANSFERS)
    # What is written is about as long as what was brought: nearly all of it is noise.
    if any(request.system == "proxmox" for request in requests):
        yield from _stages("proxmox", "IMPORT", f"local-lvm:vm-{_VMID}-disk-0", size, _WRITES)
    else:
        yield from _stages("hetzner", "SSH", "/servers/<id>", size, _WRITES)


def _stages(table: Table, method: str, path: str, size_bytes: int, stages: Sequence[int]) -> Iterator[Point]:
    for stage in stages:
        yield Point(table, method, path, 0, stage * size_bytes // 16)


def _shape(path: str) -> str:
    for pattern, shown, _ in _SHAPES:
        path = pattern.sub(shown, path)
    return path
