"""Writing a disk from a server's rescue system: look where we are, write, read back, compare.

Nothing is written, and nothing that the host says is believed, before it proved on this very connection that it is the
rescue system of our server (`proof.py`); then it says that it does not run from the disk.

It is Debian, logged in to as root (https://docs.hetzner.com/cloud/servers/getting-started/rescue-system).
Every script sets `LC_ALL=C`, because what programs print is read; parameters are positional arguments.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from resources.sites.hetzner.errors import (
    NotRescue,
    ReadbackMismatch,
    SourceUnreachable,
    WriteFailed,
    WrongCount,
    WrongSource,
)
from resources.sites.hetzner.proof import IDENTIFY, Question, Secrets, require_proof
from resources.sites.hetzner.shell import Ended, Login, Shell, command_line, logged_in, run_session, values_of
from resources.sites.hetzner.source import Source
from resources.sites.hetzner.timeouts import HetznerTimeouts

RESCUE_HOSTNAME = "rescue"
DISK = "/dev/sda"
PROGRAMS = ("source", "tee", "xz", "dd", "hash", "sync")
"""The programs of the write, in the order of the statuses that `WRITE` prints."""

_CURL_HINTS = {
    6: "see that the host's name is public; a server without IPv4 address needs one that has an IPv6 address",
    7: "see that the host is reached from anywhere; a server without IPv4 address needs one with IPv6",
    28: "see that the host is reached from anywhere, then try again",
    60: "serve it under a certificate that every system trusts: the rescue system knows no private authority",
}
"""By curl's exit status (`man curl`, "EXIT CODES")."""
_COPIED = re.compile(r"\b(\d+) bytes \(")
_SHORT = 60.0

WRITE = """
set -uo pipefail
export LC_ALL=C
disk=$1 source=$2 conv=$3 protocols=$4
room=$(mktemp -d) || exit 70
trap 'rm -rf "$room"' EXIT
mkfifo "$room/transport" || exit 70
hasher=(sha256sum)
openssl dgst -sha256 -r </dev/null >/dev/null 2>&1 && hasher=(openssl dgst -sha256 -r)
# A process substitution ends when it likes; a fifo and wait have a moment when the hash is there.
"${hasher[@]}" <"$room/transport" >"$room/sum" &
hash_id=$!
fetch() {
  if [ "$source" = - ]; then cat; else
    curl -fsSL --proto "$protocols" --proto-redir "$protocols" --retry 0 --connect-timeout 30 \\
      --speed-limit 1024 --speed-time 120 -w '%{stderr}http_code=%{http_code}\\n' -- "$source"
  fi
}
blkdiscard -f "$disk" || echo 'blkdiscard failed; the readback will tell' >&2
# tee -p goes on hashing when xz has given up, so that wrong bytes are distinguished from a failing disk.
fetch | tee -p "$room/transport" | xz -T0 -dc | dd of="$disk" bs=4M $conv status=progress
statuses=("${PIPESTATUS[@]}")
wait "$hash_id"
statuses+=($?)
sync "$disk"
statuses+=($?)
printf 'statuses=%s\\n' "${statuses[*]}"
printf 'transport_sha256=%s\\n' "$(cut -c1-64 "$room/sum")"
"""
"""Empties the disk and writes it. Parameters: the disk, a URL or - for stdin, `conv=sparse` or
nothing, and curl's protocols.

blkdiscard may leave data where it was, and conv=sparse skips zeros: only reading back proves the disk.
"""

READ_BACK = """
set -euo pipefail
export LC_ALL=C
blockdev --flushbufs "$1"
hasher=(sha256sum)
openssl dgst -sha256 -r </dev/null >/dev/null 2>&1 && hasher=(openssl dgst -sha256 -r)
printf 'readback_sha256=%s\\n' "$(head -c "$2" "$1" | "${hasher[@]}" | cut -c1-64)"
"""
"""Hashes the first bytes of the disk. Parameters: the disk, how many bytes. openssl is several times faster."""

POWER_OFF = "poweroff"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Written:
    """What was written, and proven by reading it back; and what the rescue system proved itself by."""

    transport_sha256: str
    readback_sha256: str
    bytes_written: int
    bytes_sent: int
    sparse: bool
    rescue_proof: tuple[str, ...]


def require_rescue(login: Login, disk: Disk, timeouts: HetznerTimeouts) -> None:
    """See that the rescue system answers and that the disk is large enough.

    Raises:
        NotRescue: another system booted, or the host does not prove that it is our server.
        RescueNotReached: it does not answer.
        WriteFailed: the disk is smaller than the record's.
    """

    async def look(shell: Shell, _: Progress) -> None:
        await _require_rescue(shell, disk, login.secrets)

    _in_shell(login, timeouts, look)


def write_disk(
    login: Login, source: Source, disk: Disk, *, timeouts: HetznerTimeouts, progress: Progress = silent
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
            transport, count = await _write(shell, source, disk, timeouts, report, sparse=sparse)
            found = await _read_back(shell, disk, timeouts, report)
            if found == disk.sha256:
                sent = source.variant.size_bytes * (1 if sparse else 2)
                return Written(transport, found, count, sent, sparse, proof)
        raise ReadbackMismatch(
            f"the disk reads back as sha256 {found}, not {disk.sha256}",
            hint="the variant does not decode to the record's disk, or the server's disk is broken: "
            "check the record, then seed again",
        )

    return _in_shell(login, timeouts, work, progress)


def power_off(login: Login, timeouts: HetznerTimeouts) -> None:
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

    _in_shell(login, timeouts, down)


def _in_shell(
    login: Login,
    timeouts: HetznerTimeouts,
    work: Callable[[Shell, Progress], Awaitable[Result]],
    progress: Progress = silent,
) -> Result:
    async def session(report: Progress) -> Result:
        async with logged_in(login, timeouts) as shell:
            return await work(shell, report)

    return run_session(session, progress)


async def _require_rescue(shell: Shell, disk: Disk, known: Secrets) -> tuple[str, ...]:
    question = Question.of(known.server_id, shell.host_key)
    ended = await shell.run(command_line(IDENTIFY, DISK, *question.words), within=_SHORT)
    report = values_of(ended.stdout)
    if ended.status and not ended.stdout.strip():
        raise NotRescue(
            f"the host ran nothing of what it was asked: exit status {ended.status}: {_tail(ended)}",
            hint="try again; see the server's console. Nothing was written",
        )
    proof = require_proof(report, question, known)
    hostname, root, size = report.get("hostname", ""), report.get("root", ""), report.get("disk_bytes", "")
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
    shell: Shell, source: Source, disk: Disk, timeouts: HetznerTimeouts, progress: Progress, *, sparse: bool
) -> tuple[str, int]:
    copied = 0

    def heard(text: str) -> None:
        nonlocal copied
        copied = _written_bytes(text) or copied
        progress("write", copied, disk.size_bytes)

    command = command_line(
        WRITE, DISK, source.url or "-", "conv=sparse" if sparse else "", "=https,http" if source.clear else "=https"
    )
    ended = await shell.run(command, within=timeouts.write, feed=source.file, heard=heard)
    report = values_of(ended.stdout)
    _require_success(ended, report, source)
    written = _written_bytes(ended.stderr)
    if written is None or written != disk.size_bytes:
        raise WrongCount(
            f"dd wrote {'an unknown number of' if written is None else written} bytes, the record's disk has "
            f"{disk.size_bytes}",
            hint="check that the variant decodes to the record's disk, then seed again",
        )
    return report.get("transport_sha256", ""), written


def _written_bytes(stderr: str) -> int | None:
    """Return what dd said last to have written, skipped zeros included; None where it said nothing."""
    said = _COPIED.findall(stderr)
    return int(said[-1]) if said else None


def _tail(ended: Ended) -> str:
    """Return the end of what a command complained about, in one line."""
    return " / ".join(line for line in re.split(r"[\r\n]+", ended.stderr) if line.strip())[-500:]


def _statuses(report: Mapping[str, str]) -> dict[str, int]:
    """Return the exit status of each program of the write, empty where there is no report."""
    numbers = [int(word) for word in report.get("statuses", "").split() if word.isdecimal()]
    return dict(zip(PROGRAMS, numbers, strict=True)) if len(numbers) == len(PROGRAMS) else {}


def _require_success(ended: Ended, report: Mapping[str, str], source: Source) -> None:
    """Tell a source that cannot be fetched from one that is wrong, and both from a failing write."""
    statuses = _statuses(report)
    tail = _tail(ended)
    if not statuses:
        raise WriteFailed(f"the write ended with exit status {ended.status}: {tail}", hint="try again")
    if statuses["source"]:
        code = values_of(ended.stderr).get("http_code", "")
        type_ = WrongSource if code.startswith("4") else SourceUnreachable
        raise type_(
            f"the rescue system cannot fetch {source.shown}: exit status {statuses['source']}: {tail}",
            hint=_CURL_HINTS.get(statuses["source"], "see that anyone may read the URL, from anywhere, over https"),
        )
    transport = report.get("transport_sha256", "")
    if statuses["hash"] == 0 and transport != source.variant.sha256:
        raise WrongSource(
            f"{source.shown} arrives with sha256 {transport}, not {source.variant.sha256}",
            hint="publish the variant that the record names; a published name is never written twice",
        )
    failed = [f"{name} {status}" for name, status in statuses.items() if status]
    if failed:
        raise WriteFailed(f"the write failed ({', '.join(failed)}): {tail}", hint="try again")


async def _read_back(shell: Shell, disk: Disk, timeouts: HetznerTimeouts, progress: Progress) -> str:
    progress("read back", 0, disk.size_bytes)
    ended = await shell.run(command_line(READ_BACK, DISK, str(disk.size_bytes)), within=timeouts.write)
    found = values_of(ended.stdout).get("readback_sha256")
    if ended.status != 0 or not found:
        raise WriteFailed(f"reading back failed with exit status {ended.status}: {_tail(ended)}", hint="try again")
    progress("read back", disk.size_bytes, disk.size_bytes)
    return found
