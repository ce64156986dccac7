"""A line of the operator's, in place of a step or beside one: run as HybridOps runs it.

The line is the operator's own and goes to `bash -c` as it stands; nothing of ours is ever put into it. What we tell
it stands in variables (`HYOPS_VYOS_*`). It gets no variable of ours that was not named for it, and what the named
ones hold is kept out of every log and error.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.redaction import PROXY_VARIABLES, forms_of, proxy_forms
from hyops_assets.image.methods.logged import Transcript, run_logged
from hyops_assets.image.own_process import close_to_others
from hyops_assets.image.programs import find_program, running

KEY_FILE = "HYOPS_VYOS_GCS_SA_JSON_FILE"
KEY_TEXT = "HYOPS_VYOS_GCS_SA_JSON"
_PASSED_ON = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "HYOPS_CORE_ROOT",
)
_MOST_ANSWER_BYTES = 64 << 10
# Its errors go to the log with everything else; its answer is kept apart, in a file that is there before.
_ANSWER_APART = 'exec bash -c "$1" >"$2"'


class CommandNotUsable(Refused):
    """The command cannot be run as it is configured."""


class TooMuchSaid(HyopsError):
    """A command whose answer is read printed much more than an answer."""


@dataclass(frozen=True)
class OperatorCommand:
    """A line of the operator's, and what it gets.

    Attributes:
        line: for `bash -c`; one line.
        workdir: where it runs; the scratch directory of its step where None.
        environment: names of the host's variables that it gets besides what every command does.
        timeout_seconds: until it and all that it started are stopped.
    """

    line: str
    workdir: Path | None = None
    environment: Sequence[str] = ()
    timeout_seconds: float = 7200.0

    def secrets(self) -> dict[str, str]:
        """Return the variables that were named for it.

        Raises:
            CommandNotUsable: one is not set.
        """
        missing = [name for name in self.environment if name not in os.environ]
        if missing:
            raise CommandNotUsable(
                f"the command is to get variables that are not set: {', '.join(missing)}",
                hint="export them before the run, or leave their names out",
            )
        return {name: os.environ[name] for name in self.environment}


def run_command(
    command: OperatorCommand,
    *,
    stage: str,
    variables: Mapping[str, str],
    scratch: Path,
    hidden: Sequence[str] = (),
    progress: Progress = silent,
) -> Transcript:
    """Run a command to its end and return what it printed, on either output.

    Args:
        command: what to run.
        stage: under which progress is reported.
        variables: variables of ours.
        scratch: where it runs if it names no directory of its own.
        hidden: what must not stand in a log, besides the values of the variables that were named for it.
        progress: cancels by raising; the command's whole process group is then stopped.

    Raises:
        CommandNotUsable: its directory is none, or a variable that it needs is not set.
        ProgramFailed: it failed or took too long; carries its last lines.
    """
    return _run(["bash", "-c", command.line], command, stage, variables, scratch, hidden, progress)


def answer_of(
    command: OperatorCommand,
    *,
    stage: str,
    variables: Mapping[str, str],
    scratch: Path,
    hidden: Sequence[str] = (),
    progress: Progress = silent,
) -> str:
    """Run a command to its end and return what it printed on standard output; as `run_command` does.

    Raises:
        TooMuchSaid: that is no answer any more.
    """
    answer = scratch / "answer"
    answer.touch()
    _run(
        ["bash", "-c", _ANSWER_APART, "bash", command.line, str(answer)],
        command,
        stage,
        variables,
        scratch,
        hidden,
        progress,
    )
    if answer.stat().st_size > _MOST_ANSWER_BYTES:
        raise TooMuchSaid(
            f"{stage} printed {answer.stat().st_size} bytes on standard output",
            hint="have it print its answer there, and everything else on standard error",
        )
    return answer.read_text(errors="replace")


def hyops_vyos(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables under the names of HybridOps' environment contract: `HYOPS_VYOS_<name>`."""
    return {f"HYOPS_VYOS_{name}": value for name, value in variables.items()}


def inherited() -> dict[str, str]:
    """Return the variables of this process that every command gets: proxies, trust, where HybridOps' core is.

    A proxy's URL comes without user and password: a command that needs them has the variable named for it.
    """
    held = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {name: _without_userinfo(value) if name in PROXY_VARIABLES else value for name, value in held.items()}


@contextmanager
def publishing_key(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give the variable that names the publisher's key as a file, for as long as the block lasts.

    A key that the environment holds inline is handed on as a file in memory: it never touches a disk, and is gone
    with this process, however that ends. No variable where the environment has no key.
    """
    if environ.get(KEY_FILE, "").strip():
        yield {KEY_FILE: str(Path(environ[KEY_FILE].strip()).expanduser().absolute())}
    elif environ.get(KEY_TEXT, "").strip():
        descriptor = os.memfd_create("service-account-key", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(environ[KEY_TEXT].encode())
            # Held by a process that has nothing else: what this one has open, no other may read.
            holder = ["setpriv", "--pdeathsig", "KILL", find_program("sleep"), "infinity"]
            with running(holder, stdin=descriptor, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                yield {KEY_FILE: f"/proc/{process.pid}/fd/0"}
        finally:
            os.close(descriptor)
    else:
        yield {}


def _without_userinfo(proxy: str) -> str:
    scheme, separator, rest = proxy.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _proxies() -> set[str]:
    """Return how the passwords of this host's proxies may be printed: programs that talk to a proxy do so."""
    return {form for name in PROXY_VARIABLES for form in proxy_forms(os.environ.get(name, ""))}


def _run(
    argv: Sequence[str],
    command: OperatorCommand,
    stage: str,
    variables: Mapping[str, str],
    scratch: Path,
    hidden: Sequence[str],
    progress: Progress,
) -> Transcript:
    secrets = command.secrets()
    workdir = command.workdir.expanduser() if command.workdir else scratch
    if not workdir.is_dir():
        raise CommandNotUsable(f"{workdir} is no directory", hint="create it, or correct the command's directory")
    # It runs as this user: without this it could read the whole environment of this process in /proc.
    close_to_others()
    return run_logged(
        argv,
        stage=stage,
        timeout=command.timeout_seconds,
        env={**inherited(), **secrets, **variables},
        cwd=workdir,
        secrets=[*(form for value in (*secrets.values(), *hidden) for form in (value, *forms_of(value))), *_proxies()],
        progress=progress,
    )
