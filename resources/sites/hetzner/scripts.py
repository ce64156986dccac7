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

PROOF = "hyops-rescue-proof-1"
"""What an HMAC is for: the first line of its message."""

PROOF_USER_DATA = "hyops-rescue-nonce"
"""The word before the nonce in a server's user_data."""

IDENTIFY = (
    rf"""
export LC_ALL=C
disk=$1 challenge=$2 server=$3 host_key=$4
PROOF={PROOF} WORD={PROOF_USER_DATA}
"""
    r"""
# Secrets go through builtins and pipes only: the arguments of programs are everybody's to read.
raw() {
  local out= i
  for ((i = 0; i < ${#1}; i += 2)); do out+="\\x${1:i:2}"; done
  printf "$out"
}
block() {
  local out= i byte
  for ((i = 0; i < 128; i += 2)); do
    byte=${1:i:2}
    printf -v byte %02x $((16#${byte:-00} ^ $2))
    out+=$byte
  done
  raw "$out"
}
digest() { sha256sum | cut -c1-64; }
mac() {
  # HMAC (RFC 2104) by the digest of a secret, with what every Debian has: neither openssl nor python is certain.
  local key inner
  key=$(printf %s "$2" | digest)
  inner=$({ block "$key" 54; printf '%s\n%s\n%s\n%s\n%s' "$PROOF" "$1" "$challenge" "$server" "$host_key"; } | digest)
  { block "$key" 92; raw "$inner"; } | digest
}
own=other
for file in /etc/ssh/ssh_host_*_key.pub; do
  blob=
  [ -r "$file" ] && read -r _ blob _ <"$file"
  [ "$blob" = "$host_key" ] && own=own
done
printf 'host_key=%s\n' "$own"
# Nothing is said about a connection whose key another host has: that host is in the middle.
if [ "$own" = own ]; then
  while IFS=: read -r name hash _; do
    [ "$name" = root ] || continue
    # Only the setting is told, and only where the hash has one: $id$salt$hash, or $id$parameters$salt$hash.
    case $hash in '$'?*'$'?*'$'?*)
      printf 'shadow_setting=%s\n' "${hash%\$*}"
      printf 'shadow_mac=%s\n' "$(mac shadow "$hash")"
    esac
    break
  done </etc/shadow
  told=$(curl -fsS --noproxy '*' --max-time 10 http://169.254.169.254/hetzner/v1/userdata | tr -d '\0')
  if [[ $told =~ $WORD\ ([0-9a-f]{64}) ]]; then
    printf 'user_data_mac=%s\n' "$(mac user_data "${BASH_REMATCH[1]}")"
  fi
fi
printf 'hostname=%s\n' "$(hostname)"
printf 'root=%s\n' "$(findmnt -nvo SOURCE / || echo unknown)"
printf 'disk_bytes=%s\n' "$(lsblk -bdno SIZE "$disk")"
"""
)
"""Prints its proof (`proof.py`), then who answers. Parameters: the disk, the challenge, the server's id, and the host
key that we see.
"""

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
