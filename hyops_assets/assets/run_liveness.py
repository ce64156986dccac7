"""Which process executes a run, and whether it still does: a killed run does not report its end.

Dagster's own run monitoring does not look at processes that a shell or its default launcher started, so a run that
was killed stays `STARTED` for ever: it would hold its site's slot in the queue, and a seed that asks whether the run
is at work would wait for the dead. So each run says in a tag who executes it.
"""

import os
import socket
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Self

import dagster as dg

PROCESS_TAG = "hyops/process"
"""`<run>:<host>:<boot>:<pid namespace>:<pid>:<started>` of the process that executes a run.

The run stands in it because Dagster copies a run's tags to the run that executes it again.
"""

SHELL_TAG = "hyops/shell"
"""The run that a person at a shell watches. Dagster copies it to the run that executes it again: it names another."""

KILLED = "The process that executed this run was killed; the next run resumes."
"""What a run ends with whose process is gone: no one watched its end."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_SPACE = Path("/proc/self/ns/pid")
_ENDED = "ended"
_ZOMBIE, _DEAD = "Z", "X"


@dataclass(frozen=True)
class RunProcess:
    """A process, named so that no later one is taken for it.

    Attributes:
        host: its host's name; unique among those that share an instance.
        boot: the boot of that host: after another one, nothing of it runs.
        pid_space: the namespace its number counts in; a container has its own.
        pid: its number.
        started: when it started, in clock ticks since boot: a number alone may have been given to another.
    """

    host: str
    boot: str
    pid_space: str
    pid: str
    started: str

    @classmethod
    def this(cls) -> Self:
        """Return the calling process."""
        pid = str(os.getpid())
        boot = _BOOT_ID.read_text().strip()
        return cls(socket.gethostname(), boot, str(_PID_SPACE.stat().st_ino), pid, _started(pid))

    @classmethod
    def of(cls, run: dg.DagsterRun) -> Self | None:
        """Return the process that executes a run, None where the run does not say."""
        run_id, *words = run.tags.get(PROCESS_TAG, "").split(":")
        if run_id != run.run_id or len(words) != len(fields(cls)):
            return None
        process = cls(*words)
        # Its number becomes part of a path.
        return process if process.pid.isascii() and process.pid.isdecimal() else None

    def tag(self, run_id: str) -> dict[str, str]:
        """Return the tag of a run that it executes."""
        return {PROCESS_TAG: ":".join((run_id, *astuple(self)))}

    def has_ended(self) -> bool:
        """Tell whether it is certainly gone. One that cannot be seen from here, on another host, is not."""
        here = RunProcess.this()
        if self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        return self.pid_space == here.pid_space and _started(self.pid) != self.started

    def is_seen(self) -> bool:
        """Tell whether it certainly runs."""
        here = RunProcess.this()
        same = (self.host, self.boot, self.pid_space) == (here.host, here.boot, here.pid_space)
        return same and _started(self.pid) == self.started


def by_shell(run_id: str) -> dict[str, str]:
    """Return the tag of a run that a shell executes."""
    return {SHELL_TAG: run_id}


def is_by_shell(run: dg.DagsterRun) -> bool:
    """Tell whether a shell executes a run: the person there reads why it failed, and repeats it."""
    return run.tags.get(SHELL_TAG) == run.run_id


def is_live(instance: dg.DagsterInstance, run_id: str) -> bool | None:
    """Tell whether a run is still at work: what it put into a cloud is then not a leftover. None: not known here."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return None
    if run.status is dg.DagsterRunStatus.CANCELED:
        # "Force termination" in the UI ends the run at once, and its process when that has cleaned up.
        process = RunProcess.of(run)
        return process is not None and process.is_seen()
    return not run.is_finished and not _was_killed(run)


def note_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Have a run say which process executes it, from wherever it was launched: a shell, the UI, the daemon."""
    process = RunProcess.this()
    if RunProcess.of(run) != process:
        instance.add_run_tags(run.run_id, process.tag(run.run_id))


def fail_killed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark the runs failed whose process is gone, and return their ids: no other process ever ends them."""
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    killed = [run for run in instance.get_runs(unfinished) if _was_killed(run)]
    for run in killed:
        instance.report_run_failed(run, KILLED)
    return [run.run_id for run in killed]


def _was_killed(run: dg.DagsterRun) -> bool:
    process = RunProcess.of(run)
    return process is not None and process.has_ended()


def _started(pid: str) -> str:
    try:
        # proc_pid_stat(5): the state follows the name, which stands in parentheses and may hold any character.
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return _ENDED
    return _ENDED if state in (_ZOMBIE, _DEAD) else numbers[18]
