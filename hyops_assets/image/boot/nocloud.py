"""The NoCloud disk of the boot gate: a guest's instructions to prove where it runs, and the check of its proof.

The disk carries a random nonce. A script in cloud-init's last stage gathers facts of the running root and prints
them with SHA-256(nonce + facts). What merely echoes the instructions cannot print that digest, and a digest over
other facts does not verify. Concept: https://cloudinit.readthedocs.io/en/22.4.2/topics/datasources/nocloud.html
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from hyops_assets.image.programs import run

MARK = "hyops-boot-proof"
_PROOF = re.compile(rf"{MARK} (?P<digest>[0-9a-f]{{64}}) (?P<facts>(?:[a-z_]+=[^ \r\n]* ?)+)")
_PROOF_SCRIPT = Path(__file__).parent / "guest" / "hyops-boot-proof"
_BOUNDARY = "==hyops-boot-gate=="
_CLOUD_CONFIG = """\
#cloud-config
# VyOS' own cloud-init has an empty last stage; the proof below runs in it.
cloud_final_modules: [scripts-user]
vyos_config_commands:
  - set system host-name '{host}'
"""


@dataclass(frozen=True)
class Challenge:
    """What one guest is asked to prove. The nonce is fresh per boot and never printed by it."""

    nonce: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    @property
    def host_name(self) -> str:
        """The host name that the guest's configuration must have taken from its user-data."""
        return f"gate-{hashlib.sha256(self.nonce.encode()).hexdigest()[:12]}"

    def verified_facts(self, console: str) -> dict[str, str] | None:
        """Return the facts that the guest printed and proved, None while the console shows no valid proof."""
        for match in _PROOF.finditer(console):
            facts = match["facts"].strip()
            expected = hashlib.sha256(f"{self.nonce}{facts}".encode()).hexdigest()
            if hmac.compare_digest(expected, match["digest"]):
                return dict(word.split("=", 1) for word in facts.split())
        return None


def write_seed(destination: Path, challenge: Challenge) -> Path:
    """Write the NoCloud disk (ISO 9660, label `cidata`), as Proxmox VE attaches one to a guest.

    Args:
        destination: the ISO file.
        challenge: what the guest shall prove.
    """
    content = destination.with_suffix(".d")
    content.mkdir()
    (content / "meta-data").write_text(f"instance-id: {challenge.host_name}\nlocal-hostname: boot-gate\n")
    (content / "user-data").write_text(_user_data(challenge))
    # Without one, cloud-init looks for a network card to ask for an address; the guest has none.
    (content / "network-config").write_text("version: 1\nconfig: []\n")
    argv = ["xorriso", "-no_rc", "-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r", "-o", destination, content]
    run(argv)
    return destination


def _user_data(challenge: Challenge) -> str:
    script = _PROOF_SCRIPT.read_text()
    parts = {
        "text/cloud-config": _CLOUD_CONFIG.format(host=challenge.host_name),
        "text/x-shellscript": script.replace("@NONCE@", challenge.nonce).replace("@HOST@", challenge.host_name),
    }
    body = "".join(
        f'--{_BOUNDARY}\nContent-Type: {kind}; charset="utf-8"\nMIME-Version: 1.0\n\n{text}\n'
        for kind, text in parts.items()
    )
    head = f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"\nMIME-Version: 1.0\n\n'
    return f"{head}{body}--{_BOUNDARY}--\n"
