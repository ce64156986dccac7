"""The peak memory of a piece of work and of every program that it runs, sampled from /proc."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EVERY_SECONDS = 0.05


class Peak:
    """The largest sum of resident memory that was seen, in bytes."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def peak_memory(pid: int) -> Iterator[Peak]:
    """Sample a process and its descendants, twenty times a second, for as long as the block lasts.

    Proportional set size where the kernel tells it: a page that two processes share, as after a fork, counts once.
    """
    peak, over = Peak(), threading.Event()

    def look() -> None:
        peak.bytes = max(peak.bytes, sum(map(_resident, _descendants(pid))))

    def sample() -> None:
        while not over.wait(_EVERY_SECONDS):
            look()

    look()
    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _read(entry / "stat").rpartition(")")[2].split()):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _resident(pid: int) -> int:
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


def _read(path: Path) -> str:
    """Return a file of /proc; nothing of a process that ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
