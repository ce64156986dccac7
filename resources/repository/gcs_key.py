"""With whose rights the repository is written: the key of a service account that the environment names.

`HYOPS_VYOS_GCS_SA_JSON_FILE` names a key's file and comes before `HYOPS_VYOS_GCS_SA_JSON`, which holds the key itself
(source document, "Required credentials"). A key given inline stays in memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.oauth2 import service_account

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.run_config_types import is_public_https
from resources.secrets import what_no_header_takes

KEY_FILE_ENV = "HYOPS_VYOS_GCS_SA_JSON_FILE"
KEY_ENV = "HYOPS_VYOS_GCS_SA_JSON"
_NEEDED = ("client_email", "private_key", "token_uri")
_IN_HEADERS = ("client_email", "token_uri", "private_key_id", "quota_project_id", "universe_domain")
"""Parts that Google's library puts into URLs, headers and the token that it signs."""
_MAX_KEY_BYTES = 64 << 10


class BadKey(HyopsError):
    """What a variable holds or names is not the key of a service account. The content is never shown."""


def service_account_key(environ: Mapping[str, str]) -> service_account.Credentials | None:
    """Return the credentials that the environment names; None where it names none.

    Raises:
        BadKey: the file cannot be read, or the content is not the JSON key of a service account. A file that is
            named and wrong is not passed over.
    """
    if environ.get(KEY_FILE_ENV, "").strip():
        path = environ[KEY_FILE_ENV].strip()
        if path.startswith("{") or "PRIVATE KEY" in path or not path.isprintable():
            raise BadKey(
                f"{KEY_FILE_ENV} holds no path of a file: perhaps the key itself",
                hint=f"put a key's content into {KEY_ENV}, and its file's path into {KEY_FILE_ENV}",
            )
        return _credentials(_content(Path(path).expanduser()), f"the file that {KEY_FILE_ENV} names ({path})")
    if environ.get(KEY_ENV, "").strip():
        return _credentials(environ[KEY_ENV], f"the variable {KEY_ENV}")
    return None


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES).decode(errors="replace")
    except OSError as error:
        raise BadKey(
            f"{KEY_FILE_ENV} names {path}, which cannot be read: {error.strerror}",
            hint=f"name the service account's JSON key, or unset {KEY_FILE_ENV}",
        ) from error


def _credentials(content: str, where: str) -> service_account.Credentials:
    key = _parsed(content)
    if key is None:
        raise _bad(where, "it is not a JSON object")
    if key.get("type") != "service_account":
        raise _bad(where, "its type is not service_account")
    missing = [name for name in _NEEDED if not isinstance(key.get(name), str) or not key[name]]
    if missing:
        raise _bad(where, f"it lacks {', '.join(missing)}")
    for name in _IN_HEADERS:
        if why := what_no_header_takes(str(key.get(name) or "")):
            raise _bad(where, f"its {name} {why}")
    if not is_public_https(key["token_uri"]):
        raise _bad(where, "its token_uri, where it logs in, is no https URL of a service")
    made = _made(key)
    if made is None:
        raise _bad(where, "its private_key is not a private key in PEM")
    return made


def _parsed(content: str) -> dict[str, Any] | None:
    # Errors of these parsers hold what they parsed, so they are not chained to ours.
    try:
        # Not strict: a shell that expands \n leaves line ends in the private key.
        found = parsed_json(content, strict=False)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _made(key: dict[str, Any]) -> service_account.Credentials | None:
    try:
        made = service_account.Credentials.from_service_account_info(key)
        # A key of another kind than RSA is found when it signs, and one with a passphrase is a TypeError.
        made.sign_bytes(b"")
    except (ValueError, TypeError, AttributeError):
        return None
    return made


def _bad(where: str, why: str) -> BadKey:
    return BadKey(
        f"{where} is no service account key: {why}",
        hint="use the JSON that `gcloud iam service-accounts keys create` writes, whole and unchanged",
    )
