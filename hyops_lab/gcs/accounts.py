"""Service accounts and their tokens: the JWT bearer grant (RFC 7523), as Google's token endpoint serves it.

A private key is given out once and not kept. Public keys outlive a restart, tokens do not.
Source: https://developers.google.com/identity/protocols/oauth2/service-account.
"""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, jwt

from hyops_lab.gcs.answers import ApiError

# What google-auth writes into every assertion, wherever it sends it.
_AUDIENCE = "https://oauth2.googleapis.com/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_SECONDS = 3600
_WRITING = (
    "https://www.googleapis.com/auth/devstorage.read_write",
    "https://www.googleapis.com/auth/devstorage.full_control",
    "https://www.googleapis.com/auth/cloud-platform",
)
_READING = (*_WRITING, "https://www.googleapis.com/auth/devstorage.read_only")


class GrantRefused(Exception):
    """The token endpoint's answer to an assertion that it does not believe."""


@dataclass(frozen=True)
class Token:
    """What a bearer token stands for."""

    email: str
    scopes: frozenset[str]
    expires_at: float

    def allows(self, method: str) -> bool:
        """Whether its scopes cover a request: reading needs less than writing."""
        return not self.scopes.isdisjoint(_READING if method in ("GET", "HEAD") else _WRITING)


class Accounts:
    """The service accounts of one project.

    Args:
        directory: where public keys are kept.
        project: the id of the project.
    """

    def __init__(self, directory: Path, project: str) -> None:
        self.project = project
        self._directory = directory
        self._tokens: dict[str, Token] = {}
        directory.mkdir(parents=True, exist_ok=True)

    def email(self, name: str) -> str:
        """Return an account's address, whether or not it has a key."""
        return f"{name}@{self.project}.iam.gserviceaccount.com"

    def create(self, name: str, *, token_uri: str, private: rsa.RSAPrivateKey | None = None) -> dict[str, str]:
        """Return a key of an account, as the JSON file that a user downloads; a fresh one where none is given."""
        email = self.email(name)
        key = private or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_id = secrets.token_hex(20)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        stored = {"email": email, "public_key": public.decode()}
        (self._directory / f"{key_id}.json").write_text(json.dumps(stored))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": key_id,
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": str(secrets.randbelow(10**20)),
            "token_uri": token_uri,
        }

    def disable(self, email: str) -> None:
        """Delete every key of an account and end its tokens."""
        for path in self._directory.glob("*.json"):
            if json.loads(path.read_text())["email"] == email:
                path.unlink()
        self._tokens = {text: token for text, token in self._tokens.items() if token.email != email}

    def grant(self, form: Mapping[str, str]) -> dict[str, str | int]:
        """Return a bearer token for a signed assertion.

        Raises:
            GrantRefused: the signature, the audience, the times or the key are wrong.
        """
        if form.get("grant_type") != GRANT:
            raise GrantRefused("unsupported_grant_type")
        assertion = form.get("assertion", "")
        try:
            key_id = jwt.decode_header(assertion).get("kid", "")
            stored = json.loads((self._directory / f"{Path(key_id).name}.json").read_text())
            claims = jwt.decode(assertion, certs=stored["public_key"], audience=_AUDIENCE)
        except (OSError, ValueError, exceptions.GoogleAuthError) as error:
            raise GrantRefused("Invalid JWT Signature.") from error
        if claims.get("iss") != stored["email"] or claims["exp"] - claims["iat"] > TOKEN_SECONDS:
            raise GrantRefused("Invalid JWT: iss, or a lifetime of more than an hour.")
        text = f"ya29.lab-{secrets.token_urlsafe(32)}"
        scopes = frozenset(str(claims.get("scope", "")).split())
        self._tokens[text] = Token(stored["email"], scopes, time.time() + TOKEN_SECONDS)
        return {"access_token": text, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}

    def expire_tokens(self) -> None:
        """Forget every token, as if its hour were over."""
        self._tokens.clear()

    def principal(self, authorization: str | None, method: str) -> str | None:
        """Return whose token a request carries; None where it carries none.

        Raises:
            ApiError: 401: a token that is none, or is over; 403: its scopes do not cover the request.
        """
        if authorization is None:
            return None
        token = self._tokens.get(authorization.removeprefix("Bearer "))
        if token is None or token.expires_at < time.time():
            raise ApiError(401, "authError", "Invalid Credentials")
        if not token.allows(method):
            raise ApiError(403, "insufficientPermissions", "Insufficient Permission")
        return token.email
