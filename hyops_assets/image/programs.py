"""The one way to run a program: argument list, minimal environment, own process group, one error line.

What belongs here: starting, awaiting and stopping programs. What a program is run *for* belongs to its caller.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hyops_assets.contract.errors import HyopsError

PACKAGES = {
    "xorriso": "xorriso",
    "unsquashfs": "squashfs-tools",
    "mksquashfs": "squashfs-tools",
    "mkfs.ext4": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "mkfs.fat": "dosfstools",
    "mmd": "mtools",
    "mcopy": "mtools",
    "mdir": "mtools",
    "sgdisk": "gdisk",
    "xz": "xz-utils",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "packer": "packer",
    # Not ansible-core: the playbooks of vyos-vm-images need the collections that come with the full package.
    "ansible-galaxy": "ansible",
    "ansible-playbook": "ansible",
    "bash": "bash",
    "busybox": "busybox-static",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "grub-mkimage": "grub-common",
    "grub-editenv": "grub-common",
    "apt-get": "apt",
    "apt-config": "apt",
    "dpkg-deb": "dpkg",
    "bwrap": "bubblewrap",
    "mmdebstrap": "mmdebstrap",
    "minisign": "minisign",
    "gpg": "gnupg",
    "gpgconf": "gnupg",
    "openssl": "openssl",
    "curl": "curl",
}
"""Every program of the host that the pipeline runs, and the Debian package that brings it."""

OPTIONAL = {"packer": "packer", "ansible-galaxy": "vyos-vm-images", "ansible-playbook": "vyos-vm-images"}
"""Programs that one build method alone needs, and which: no prerequisite. Debian 13 has no packer."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KILL_AFTER_SECONDS = 5.0


class MissingProgram(HyopsError):
    """A host program is not installed."""

    def __init__(self, program: str) -> None:
        package = PACKAGES.get(program, program)
        super().__init__(f"{program} is not installed", hint=f"apt-get install {package}")


class ProgramFailed(HyopsError):
    """A program ended with an exit status that means failure, or ran out of time."""

    def __init__(self, argv: Sequence[str], why: str, output: str) -> None:
        tail = "\n".join(output.strip().splitlines()[-12:])
        super().__init__(f"{Path(argv[0]).name} {why}" + (f":\n{tail}" if tail else ""), hint="read its output above")


@dataclass(frozen=True)
class Completed:
    """A program that ended as it should."""

    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode()


def find_program(program: str) -> str:
    """Return a program's absolute path.

    Raises:
        MissingProgram: it is not installed; the message names the package.
    """
    found = shutil.which(program, path=_PATH)
    if found is None:
        raise MissingProgram(program)
    return found


def minimal_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of a program: what makes its output depend on nothing of the caller's."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    return {"PATH": _PATH, "LC_ALL": "C.UTF-8", "TZ": "UTC", **kept, **(extra or {})}


@contextmanager
def running(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the block lasts; then stop it and everything it started.

    Raises:
        MissingProgram: it is not installed.
    """
    command = [find_program(os.fspath(argv[0])), *(os.fspath(word) for word in argv[1:])]
    process = subprocess.Popen(
        command,
        env=minimal_environment(env),
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        # Its own group: a terminated run reaches the children of its children too.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _stop_group(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
    ok: Sequence[int] = (0,),
) -> Completed:
    """Run a program to its end and return what it printed.

    Args:
        argv: the program's name and arguments; never a shell line.
        env: added to the minimal environment.
        cwd: working directory.
        stdin: bytes for its standard input.
        timeout: seconds until it is killed.
        ok: exit statuses that mean success.

    Raises:
        MissingProgram: it is not installed.
        ProgramFailed: another exit status, or the time ran out; carries the last lines it printed.
    """
    source = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
    words = [os.fspath(word) for word in argv]
    # What waits for a program may be killed with no chance to stop it. A mkfs that lived on would write into the
    # disk that the next run is already building under the same name.
    mortal = ["setpriv", "--pdeathsig", "KILL", find_program(words[0]), *words[1:]]
    with running(mortal, env=env, cwd=cwd, stdin=source) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired as error:
            raise ProgramFailed(words, f"did not end within {timeout:.0f} s", "") from error
        printed = err.decode(errors="replace")
        if process.returncode not in ok:
            raise ProgramFailed(words, ending_of(process.returncode), printed or out.decode(errors="replace"))
        return Completed(out, printed)


def ending_of(status: int) -> str:
    """Say how a program ended that did not end well: by which signal, or with which exit status."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"failed with exit status {status}"


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """End the process group: politely first, for good after a few seconds."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except (ProcessLookupError, PermissionError):
            break
        if process.poll() is not None and sign == signal.SIGTERM:
            continue
        try:
            process.wait(_KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
