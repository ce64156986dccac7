"""Public keys for a guest's login, as OpenSSH writes them."""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator

_MOST_CHARACTERS = 16_384
"""OpenSSH reads no longer line; a key of 16,384 bits has 2,800."""
_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)


def require_public_key(text: str) -> str:
    """Return a line of an `authorized_keys` file unchanged: type, base64, perhaps a comment; no options.

    The base64 begins with the type once more, as a length and a name (RFC 4253, section 6.6): a key that was cut or
    pasted under another type is found here and not at a failed login.

    Raises:
        ValueError: it is none.
    """
    kind, _, rest = text.strip().partition(" ")
    if kind not in _TYPES or not text.strip().isprintable() or len(text) > _MOST_CHARACTERS:
        message = f"a public key is one line that begins with one of {', '.join(sorted(_TYPES))}"
        raise ValueError(message)
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error as error:
        message = f"the {kind} key is cut or mistyped: {error}"
        raise ValueError(message) from error
    length = int.from_bytes(blob[:4], "big")
    if len(blob) <= 4 + length or blob[4 : 4 + length] != kind.encode():
        message = f"the key says {kind} and holds something else"
        raise ValueError(message)
    return text


PublicKey = Annotated[str, AfterValidator(require_public_key)]
"""One public key, checked."""
