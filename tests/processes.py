"""Which processes work on a directory: what a killed or interrupted run must not leave behind."""

import os
import time
from pathlib import Path


def naming(path: Path) -> dict[int, str]:
    """Return the command lines, by process id, of other processes that name a path or something below it."""
    found = {}
    # Listed, not globbed: a glob looks at each path, and fails at a process that ended meanwhile.
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if pid != os.getpid() and any(str(path) in word for word in words):
            found[pid] = " ".join(words)
    return found


def outliving(path: Path, *, within: float = 10.0) -> dict[int, str]:
    """Return what `naming` still finds some seconds after a kill: SIGKILL does not wait until they are gone."""
    deadline = time.monotonic() + within
    while (found := naming(path)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found
