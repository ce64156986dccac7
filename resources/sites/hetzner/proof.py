"""How a host proves that it is the rescue system of our server: by what only Hetzner's API and that server know.

A login by key proves nothing: any host lets any key in. Hetzner tells no host key beforehand. What the true rescue
system knows and no other host does:

- the hash of the password that enabling it returned, in its `/etc/shadow`;
- a nonce in the server's `user_data`, which the metadata service tells that server alone.

The host answers a challenge with an HMAC by either; neither secret travels. The HMAC covers the SSH host key of this
very connection, which the host compares with its own before: one in the middle has another key, and relaying the
question does not help it. It covers the server's id and a challenge that is made once, so that no other server's
answer and no former one fits. Decision 20 says why there are two proofs, and what each is worth.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncssh

from resources.sites.hetzner.errors import NotRescue
from resources.sites.hetzner.password_hash import hash_password

PROOF = "hyops-rescue-proof-1"
"""What an HMAC is for: the first line of its message."""

PROOF_USER_DATA = "hyops-rescue-nonce"
"""The word before the nonce in a server's user_data."""

_SHORTEST_PASSWORD = 12
"""Characters. Hetzner's have twenty; what is shorter could be found by trying, from the HMAC."""


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
    # Only the setting is reported, and only where the hash has one: $id$salt$hash, or $id$parameters$salt$hash.
    case $hash in '$'?*'$'?*'$'?*)
      printf 'shadow_setting=%s\n' "${hash%\$*}"
      printf 'shadow_mac=%s\n' "$(mac shadow "$hash")"
    esac
    break
  done </etc/shadow
  data=$(curl -fsS --noproxy '*' --max-time 10 http://169.254.169.254/hetzner/v1/userdata | tr -d '\0')
  if [[ $data =~ $WORD\ ([0-9a-f]{64}) ]]; then
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


def new_nonce() -> str:
    """Return 256 bits that occur once, in hexadecimal."""
    return secrets.token_hex(32)


@dataclass
class Secrets:
    """What Hetzner's API and one server know besides us. It is kept in memory and nowhere else.

    Attributes:
        server_id: of the server.
        nonce: in its user_data.
        root_password: that its next, or present, boot into the rescue system has; empty before one is enabled.
    """

    server_id: int
    nonce: str = field(repr=False)
    root_password: str = field(default="", repr=False)


def user_data_with(nonce: str) -> str:
    """Return a server's user_data: a cloud-config that says nothing, for an own system that boots after all."""
    return f"#cloud-config\n# {PROOF_USER_DATA} {nonce}\n"


@dataclass(frozen=True)
class Question:
    """What a host is asked, once: none of it is secret.

    Attributes:
        challenge: new with each question.
        server_id: of the server that it says to be.
        host_key: that it showed on this connection, as OpenSSH writes it: base64 without the name of its type.
    """

    challenge: str
    server_id: int
    host_key: str

    @classmethod
    def of(cls, server_id: int, host_key: asyncssh.SSHKey) -> "Question":
        """Return a new question to the host that showed this key."""
        return cls(new_nonce(), server_id, base64.b64encode(host_key.public_data).decode())

    @property
    def words(self) -> tuple[str, str, str]:
        """The parameters of the script that answers."""
        return self.challenge, str(self.server_id), self.host_key

    def answer(self, kind: str, secret: str) -> str:
        """Return the right answer: HMAC-SHA-256, by the digest of the secret, in hexadecimal."""
        message = "\n".join((PROOF, kind, *self.words))
        return hmac.digest(hashlib.sha256(secret.encode()).digest(), message.encode(), "sha256").hex()


def require_proof(report: Mapping[str, str], question: Question, known: Secrets) -> tuple[str, ...]:
    """See that a host's answer proves that it is the rescue system of our server; return what proves it.

    Args:
        report: what it printed, by name.
        question: what it was asked.
        known: what the true one knows.

    Raises:
        NotRescue: neither proof holds. It says why, for each; it holds no secret.
    """
    if report.get("host_key", "") != "own":
        why = "it does not have the SSH host key that this connection shows"
    else:
        failed = {"shadow": _by_shadow(report, question, known), "user_data": _by_user_data(report, question, known)}
        if held := tuple(kind for kind, failure in failed.items() if failure is None):
            return held
        why = "; ".join(f"by {kind}: {failure}" for kind, failure in failed.items())
    raise NotRescue(
        f"the host does not prove that it is the rescue system of server {known.server_id}: {why}",
        hint="try again; if it happens again, look who answers at the server's address. Nothing was written",
    )


def _by_shadow(report: Mapping[str, str], question: Question, known: Secrets) -> str | None:
    """Return why the proof by the root password's hash does not hold; None where it does."""
    answered = report.get("shadow_mac", "")
    if len(known.root_password) < _SHORTEST_PASSWORD:
        return "the API returned no password"
    if not answered:
        return "root has no password there"
    hashed = hash_password(known.root_password, report.get("shadow_setting", ""))
    if hashed is None:
        return "it is of a kind that this host does not compute"
    return None if _same(question.answer("shadow", hashed), answered) else "it is another password"


def _by_user_data(report: Mapping[str, str], question: Question, known: Secrets) -> str | None:
    """Return why the proof by the nonce in the server's user_data does not hold; None where it does."""
    answered = report.get("user_data_mac", "")
    if not answered:
        return "the metadata service does not tell it there"
    return None if _same(question.answer("user_data", known.nonce), answered) else "it is another server's"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
