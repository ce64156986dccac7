"""The lab's signing key: signs look-alike ISOs as the vendor signs real ones, and is marked as lab.

It is trusted only by a `pipeline.yml` that the lab wrote.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_assets.contract.minisign_keys import PublicKey
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.digests import CHUNK_BYTES
from hyops_assets.image.intake.minisign import Signature, prehash
from hyops_assets.settings.signing_keys import SigningKey

_KEY_ID_BYTES = 8


@dataclass(frozen=True)
class LabKey:
    """A minisign key pair. Its private half never shows in a repr."""

    key_id: bytes
    _private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Return a fresh key that lives in memory only."""
        return cls(secrets.token_bytes(_KEY_ID_BYTES), Ed25519PrivateKey.generate())

    @property
    def public_key(self) -> str:
        """The public key as minisign writes it: the base64 line of its public key file."""
        return str(PublicKey(self.key_id, self._private.public_key().public_bytes_raw()))

    def trusted_as(self, name: str) -> SigningKey:
        """Return the setting that trusts this key, marked as lab."""
        return SigningKey(name=name, public_key=self.public_key, lab=True)

    def sign_file(self, path: Path, file_name: str, signed_at: datetime, progress: Progress = silent) -> str:
        """Sign a file's bytes, prehashed, and return the text of the signature file.

        Args:
            path: the file.
            file_name: the name that the trusted comment carries.
            signed_at: the time that the trusted comment carries; with a time zone, whole seconds.
            progress: called with the file's bytes done.
        """
        digest = prehash()
        done, total = 0, path.stat().st_size
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                progress("sign", done, total)
        ed25519 = self._private.sign(digest.digest())
        comment = f"timestamp:{int(signed_at.timestamp())}\tfile:{file_name}\thashed"
        unsigned = Signature("prehashed", self.key_id, ed25519, comment, b"")
        signature = Signature("prehashed", self.key_id, ed25519, comment, self._private.sign(unsigned.global_message))
        return signature.text("signature of a lab, good for nothing else")
