"""What runs in the rescue system: three bash scripts, each with its parameters as positional arguments.

The rescue system is Debian (https://docs.hetzner.com/cloud/servers/getting-started/rescue-system), logged in to as
root. Every script sets `LC_ALL=C`, because what programs print is read.
"""

import shlex
from dataclasses import dataclass
from typing import Self

DISK = "/dev/sda"
PROGRAMS = ("source", "tee", "xz", "dd", "hash", "sync")
"""The programs of the write, in the order of the statuses that `WRITE` prints."""

IDENTIFY = """
export LC_ALL=C
printf 'hostname=%s\\n' "$(hostname)"
printf 'root=%s\\n' "$(findmnt -nvo SOURCE / || echo unknown)"
printf 'disk_bytes=%s\\n' "$(lsblk -bdno SIZE "$1")"
"""
"""Prints who answers. Parameters: the disk."""

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
# tee -p goes on hashing when xz has given up, so that wrong bytes are told from a failing disk.
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


def command_line(script: str, *parameters: str) -> str:
    """Return the line that runs a script with parameters; nothing in them is read by a shell."""
    return shlex.join(["bash", "-c", script, "seed", *parameters])


@dataclass(frozen=True)
class Report:
    """What a script printed: `name=value` lines."""

    values: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the lines of a report; later ones win."""
        pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
        return cls({name: value.strip() for name, _, value in pairs})

    def get(self, name: str) -> str:
        """Return a value, empty where the script printed none."""
        return self.values.get(name, "")

    def statuses(self) -> dict[str, int]:
        """Return the exit status of each program of the write, empty where there is no report."""
        numbers = [int(word) for word in self.get("statuses").split() if word.isdecimal()]
        return dict(zip(PROGRAMS, numbers, strict=True)) if len(numbers) == len(PROGRAMS) else {}
