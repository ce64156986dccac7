"""What killed runs left on this host: scratch of builds, and the staging directory of the qcow2 wrapper.

Scratch is held by a lock of the process that uses it, which the kernel frees. HybridOps' older wrapper locked nothing
in the staging directory: it is left alone while any process of this host has something open in it.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hyops_assets.contract.upkeep import Finding, Verdict
from resources.artifacts.scratch import find_unheld, sweep
from resources.artifacts.store import ArtifactStore
from resources.sites.hetzner.staging import STAGING

IDLE_SECONDS = 3600.0
"""A staging directory that was changed less long ago may belong to a wrapper between two steps."""


class LocalRemains:
    """One look at this host.

    Args:
        store: whose scratch is looked at.
        clock: epoch seconds.
        staging: the wrapper's directory.
    """

    def __init__(self, store: ArtifactStore, *, clock: Callable[[], float], staging: Path = STAGING) -> None:
        self._store = store
        self._clock = clock
        self._staging = staging

    def find(self) -> list[Finding]:
        """Return what is left. Nothing is changed."""
        scratch = [
            Finding(f"scratch {path.name}", str(path.parent), "remove", "no process holds it")
            for path in find_unheld(self._store.scratch_directory)
        ]
        return scratch + ([staging] if (staging := self._of_staging()) else [])

    def reap(self) -> list[Finding]:
        """Remove what is left, and return what became of it."""
        scratch = [
            Finding(f"scratch {path.name}", str(path.parent), *_outcome(path))
            for path in sweep(self._store.scratch_directory)
        ]
        staging = self._of_staging()
        if staging is not None and staging.verdict == "remove":
            try:
                shutil.rmtree(self._staging)
                staging = staging.turned("removed")
            except FileNotFoundError:
                # A wrapper that ended removed it itself, or part of it: what is left is seen by the next look.
                staging = None
            except OSError as error:
                staging = staging.turned("failed", f"{staging.why}; {error.strerror}: {error.filename}")
        return scratch + ([staging] if staging else [])

    def _of_staging(self) -> Finding | None:
        what, where = f"staging {self._staging.name}", str(self._staging.parent)
        try:
            found = self._staging.lstat()
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(found.st_mode):
            return Finding(what, where, "by hand", "it is no directory: nothing of HybridOps' makes that")
        if found.st_uid != os.getuid():
            return Finding(what, where, "by hand", f"it belongs to user {found.st_uid}: rm -r {self._staging} as that")
        # A process of ours that ran an operator's command hides what it has open: its lock is seen all the same.
        if _is_held(self._staging):
            return Finding(what, where, "keep", "a run holds scratch in it")
        user = next(_users(self._staging), None)
        if user is not None:
            return Finding(what, where, "keep", f"process {user} has something open in it")
        changed = _changed(self._staging)
        if changed is None:
            return None
        if self._clock() - changed < IDLE_SECONDS:
            return Finding(what, where, "keep", f"it was changed less than {IDLE_SECONDS / 60:.0f} minutes ago")
        return Finding(what, where, "remove", "left by a wrapper that has ended")


def _is_held(directory: Path) -> bool:
    """Tell whether a process holds one of the scratch directories in a directory."""
    try:
        rooms = {path for path in directory.iterdir() if path.is_dir() and not path.is_symlink()}
    except FileNotFoundError:
        return False
    return any(room.exists() for room in rooms - set(find_unheld(directory)))


def _changed(directory: Path) -> float | None:
    """Return when something in a tree was last changed, in epoch seconds; None where the tree is gone.

    What vanishes while it is looked at is passed over: its going changes the directory that it was in.
    """
    times: list[float] = []
    with suppress(FileNotFoundError):
        times.append(directory.lstat().st_mtime)
    # Unlike `rglob`, `walk` goes on where a directory is gone before it is read.
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            with suppress(FileNotFoundError):
                times.append(Path(parent, name).lstat().st_mtime)
    return max(times, default=None)


def _users(directory: Path) -> Iterator[int]:
    """Yield the processes that work in a directory, or have a file in it open, as far as this user may see."""
    real = directory.resolve()
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        # Processes end while they are looked at; those of others do not show what they have open.
        with suppress(OSError):
            for link in (process / "cwd", *(process / "fd").iterdir()):
                with suppress(OSError):
                    if link.readlink().is_relative_to(real):
                        yield int(process.name)
                        break


def _outcome(path: Path) -> tuple[Verdict, str]:
    if path.exists():
        return "failed", "no process holds it, and it could not be removed: look at its permissions"
    return "removed", "no process held it"
