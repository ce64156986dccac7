"""Writing a disk from a server's rescue system: look where we are, write, read back, compare.

Nothing is written, and nothing that the host says is believed, before it proved on this very connection that it is the
rescue system of our server (`proof.py`); then it says that it does not run from the disk.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk, Variant
from resources.sites.hetzner.errors import (
    NotRescue,
    ReadbackMismatch,
    SourceUnreachable,
    WriteFailed,
    WrongCount,
    WrongSource,
)
from resources.sites.hetzner.patience import Patience
from resources.sites.hetzner.proof import Question, Secrets, require_proof
from resources.sites.hetzner.scripts import DISK, IDENTIFY, POWER_OFF, READ_BACK, WRITE, Report, command_line
from resources.sites.hetzner.session import run_session
from resources.sites.hetzner.shell import Ended, Login, Shell, logged_in

RESCUE_HOSTNAME = "rescue"
_CURL_HINTS = {
    6: "see that the host's name is public; a server without IPv4 address needs one that has an IPv6 address",
    7: "see that the host is reached from anywhere; a server without IPv4 address needs one with IPv6",
    28: "see that the host is reached from anywhere, then try again",
    60: "serve it under a certificate that every system trusts: the rescue system knows no private authority",
}
"""By curl's exit status (`man curl`, "EXIT CODES")."""
_COPIED = re.compile(r"\b(\d+) bytes \(")
_SHORT = 60.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Source:
    """Where the raw.xz comes from: a URL that the rescue system fetches, or a file that is sent over SSH.

    `clear` allows http: the digests prove the bytes, and the image is public.
    """

    variant: Variant
    url: str | None = None
    file: Path | None = None
    clear: bool = False

    @property
    def shown(self) -> str:
        """The place, for messages."""
        return self.url or str(self.file)


@dataclass(frozen=True)
class Written:
    """What was written, and proven by reading it back; and what the rescue system proved itself by."""

    transport_sha256: str
    readback_sha256: str
    bytes_written: int
    bytes_sent: int
    sparse: bool
    rescue_proof: tuple[str, ...]


def require_rescue(login: Login, disk: Disk, patience: Patience) -> None:
    """See that the rescue system answers and that the disk is large enough.

    Raises:
        NotRescue: another system booted, or the host does not prove that it is our server.
        RescueNotReached: it does not answer.
        WriteFailed: the disk is smaller than the record's.
    """

    async def look(shell: Shell, _: Progress) -> None:
        await _require_rescue(shell, disk, login.secrets)

    _in_shell(login, patience, look)


def write_disk(
    login: Login, source: Source, disk: Disk, *, patience: Patience, progress: Progress = silent
) -> Written:
    """Write a record's disk and prove it.

    Where the readback differs (a discard that did not empty the disk), the disk is written once more, zeros included.

    Raises:
        NotRescue: another system booted, or the host does not prove that it is our server.
        RescueNotReached: it does not answer.
        SourceUnreachable: the rescue system could not fetch the file.
        WrongSource: it fetched other bytes than the record promises.
        WriteFailed: a program failed, or the connection broke.
        WrongCount: another number of bytes was written than the disk has.
        ReadbackMismatch: the disk is not the record's disk, twice.
    """

    async def work(shell: Shell, report: Progress) -> Written:
        proof = await _require_rescue(shell, disk, login.secrets)
        found = ""
        for sparse in (True, False):
            transport, count = await _write(shell, source, disk, patience, report, sparse=sparse)
            found = await _read_back(shell, disk, patience, report)
            if found == disk.sha256:
                sent = source.variant.size_bytes * (1 if sparse else 2)
                return Written(transport, found, count, sent, sparse, proof)
        raise ReadbackMismatch(
            f"the disk reads back as sha256 {found}, not {disk.sha256}",
            hint="the variant does not decode to the record's disk, or the server's disk is broken: "
            "check the record, then seed again",
        )

    return _in_shell(login, patience, work, progress)


def power_off(login: Login, patience: Patience) -> None:
    """Tell the rescue system to power off; whether it does is asked of the API.

    Raises:
        RescueNotReached: it does not answer.
    """

    async def down(shell: Shell, _: Progress) -> None:
        try:
            await shell.run(POWER_OFF, within=_SHORT)
        except WriteFailed:
            # The connection goes down with the system.
            return

    _in_shell(login, patience, down)


def _in_shell(
    login: Login,
    patience: Patience,
    work: Callable[[Shell, Progress], Awaitable[Result]],
    progress: Progress = silent,
) -> Result:
    async def session(report: Progress) -> Result:
        async with logged_in(login, patience) as shell:
            return await work(shell, report)

    return run_session(session, progress)


async def _require_rescue(shell: Shell, disk: Disk, known: Secrets) -> tuple[str, ...]:
    question = Question.of(known.server_id, shell.host_key)
    ended = await shell.run(command_line(IDENTIFY, DISK, *question.words), within=_SHORT)
    report = Report.parse(ended.stdout)
    if ended.status and not ended.stdout.strip():
        raise NotRescue(
            f"the host ran nothing of what it was asked: exit status {ended.status}: {_tail(ended)}",
            hint="try again; see the server's console. Nothing was written",
        )
    proof = require_proof(report, question, known)
    hostname, root, size = report.get("hostname"), report.get("root"), report.get("disk_bytes")
    if hostname != RESCUE_HOSTNAME or root.startswith(DISK) or root in ("", "unknown"):
        raise NotRescue(
            f"{hostname or 'an unknown host'} answers with / on {root or 'an unknown device'}: "
            "this is not the rescue system",
            hint="try again; nothing was written",
        )
    if not size.isdecimal() or int(size) < disk.size_bytes:
        raise WriteFailed(
            f"the server's disk holds {size or 'an unknown number of'} bytes, the record's {disk.size_bytes}",
            hint="use a server type with a larger disk",
        )
    return proof


async def _write(
    shell: Shell, source: Source, disk: Disk, patience: Patience, progress: Progress, *, sparse: bool
) -> tuple[str, int]:
    copied = 0

    def heard(text: str) -> None:
        nonlocal copied
        copied = _written_bytes(text) or copied
        progress("write", copied, disk.size_bytes)

    command = command_line(
        WRITE, DISK, source.url or "-", "conv=sparse" if sparse else "", "=https,http" if source.clear else "=https"
    )
    ended = await shell.run(command, within=patience.write, feed=source.file, heard=heard)
    report = Report.parse(ended.stdout)
    _require_success(ended, report, source)
    written = _written_bytes(ended.stderr)
    if written is None or written != disk.size_bytes:
        raise WrongCount(
            f"dd wrote {'an unknown number of' if written is None else written} bytes, the record's disk has "
            f"{disk.size_bytes}",
            hint="check that the variant decodes to the record's disk, then seed again",
        )
    return report.get("transport_sha256"), written


def _written_bytes(stderr: str) -> int | None:
    """Return what dd said last to have written, skipped zeros included; None where it said nothing."""
    said = _COPIED.findall(stderr)
    return int(said[-1]) if said else None


def _tail(ended: Ended) -> str:
    """Return the end of what a command complained about, in one line."""
    return " / ".join(line for line in re.split(r"[\r\n]+", ended.stderr) if line.strip())[-500:]


def _require_success(ended: Ended, report: Report, source: Source) -> None:
    """Tell a source that cannot be fetched from one that is wrong, and both from a failing write."""
    statuses = report.statuses()
    tail = _tail(ended)
    if not statuses:
        raise WriteFailed(f"the write ended with exit status {ended.status}: {tail}", hint="try again")
    if statuses["source"]:
        code = Report.parse(ended.stderr).get("http_code")
        type_ = WrongSource if code.startswith("4") else SourceUnreachable
        raise type_(
            f"the rescue system cannot fetch {source.shown}: exit status {statuses['source']}: {tail}",
            hint=_CURL_HINTS.get(statuses["source"], "see that anyone may read the URL, from anywhere, over https"),
        )
    transport = report.get("transport_sha256")
    if statuses["hash"] == 0 and transport != source.variant.sha256:
        raise WrongSource(
            f"{source.shown} arrives with sha256 {transport}, not {source.variant.sha256}",
            hint="publish the variant that the record names; a published name is never written twice",
        )
    failed = [f"{name} {status}" for name, status in statuses.items() if status]
    if failed:
        raise WriteFailed(f"the write failed ({', '.join(failed)}): {tail}", hint="try again")


async def _read_back(shell: Shell, disk: Disk, patience: Patience, progress: Progress) -> str:
    progress("read back", 0, disk.size_bytes)
    ended = await shell.run(command_line(READ_BACK, DISK, str(disk.size_bytes)), within=patience.write)
    found = Report.parse(ended.stdout).get("readback_sha256")
    if ended.status != 0 or not found:
        raise WriteFailed(f"reading back failed with exit status {ended.status}: {_tail(ended)}", hint="try again")
    progress("read back", disk.size_bytes, disk.size_bytes)
    return found
