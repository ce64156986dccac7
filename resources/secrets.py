"""Secrets come from the environment, by name. A value is handed to the client that needs it, and to nothing else.

What a secret may consist of is checked here, once, before a library sees it: HTTP libraries quote a header that they
cannot send, secret and all, in what they raise.
"""

import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.redaction import PROXY_VARIABLES, Redactor
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import token_of

_PROXY_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_LAB = "HYOPS_LAB_"
"""How the variables of a lab begin: they are set by it, never by a person."""
_named: set[str] = set()
"""Variables that settings, or a reader of this process, named as secrets: their values are never written down."""


class MissingSecret(HyopsError):
    """The environment variable that a site names is unset or empty."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the environment variable {name} is unset or empty",
            hint=(
                "hyops lab up: the lab hands its own out while it is up"
                if name.startswith(_LAB)
                else f"export {name} where the pipeline runs; the site's settings in config/pipeline.yml name it"
            ),
        )
        self.name = name


class UnusableSecret(HyopsError):
    """A variable holds what cannot be a secret of its kind. The message names the variable, no character of it."""

    def __init__(self, name: str, why: str, *, hint: str = "") -> None:
        super().__init__(
            f"the environment variable {name} {why}",
            hint=hint or f"export {name} again with the value alone, as its service showed it",
        )
        self.name = name


def secret(name: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the value of an environment variable, without the white space around it that a copied value brings.

    The value is printable ASCII without white space: what a header takes (RFC 9110, section 5.5; RFC 6750, section
    2.1), and what every URL consists of.

    Args:
        name: the variable.
        environ: where to look; the process' environment where None.

    Raises:
        MissingSecret: unset or empty. The message holds the name, never a value.
        UnusableSecret: it has a line break, a control character, white space or a character outside ASCII.
    """
    remember([name])
    value = (os.environ if environ is None else environ).get(name, "").strip()
    if not value:
        raise MissingSecret(name)
    if why := what_no_header_takes(value):
        raise UnusableSecret(name, why)
    return value


def what_no_header_takes(value: str) -> str:
    """Say which character keeps a value out of a header, by its place alone; empty where none does."""
    lines = len(re.split(r"\r\n|\r|\n", value))
    if lines > 1:
        number = "two" if lines == 2 else str(lines)
        return f"has a line break after its first line: the value has {number} lines"
    for place, character in enumerate(value, start=1):
        if not character.isascii():
            return f"has a character outside ASCII: character {place} of {len(value)}"
        if character.isspace():
            return f"has white space inside: character {place} of {len(value)}"
        if not character.isprintable():
            return f"has a control character: character {place} of {len(value)}"
    return ""


def require_proxies(environ: Mapping[str, str] | None = None) -> None:
    """Refuse a proxy's URL that HTTP libraries would take apart otherwise than it was meant: its password may show.

    Raises:
        UnusableSecret: a proxy variable holds no URL of a proxy.
    """
    held = os.environ if environ is None else environ
    for name in PROXY_VARIABLES:
        value = held.get(name, "").strip()
        if value and (why := _what_is_no_proxy(value)):
            raise UnusableSecret(
                name,
                why,
                hint=f"write {name} as http://user:password@host:port, with each special character as %XX",
            )


def remember(names: Iterable[str]) -> None:
    """Have what these variables hold blacked out of whatever this process writes down."""
    _named.update(names)


def named_in(settings: Settings) -> list[str]:
    """Return the variables that settings name as secrets: of sites, of the webhook, of the operator's builder."""
    command = settings.build.command
    webhook = settings.notify.webhook_env
    return [
        *(token for _, _, site in settings.sites.each() if (token := token_of(site))),
        *(command.environment if command else []),
        *([webhook] if webhook else []),
    ]


def redactor() -> Redactor:
    """Return what keeps every secret that this process knows of out of texts."""
    return Redactor(os.environ, _named)


def _what_is_no_proxy(value: str) -> str:
    if why := what_no_header_takes(value):
        return why
    # Without a scheme, libraries add http:// themselves.
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not the URL of a proxy: its port is no number, or its host no name"
    if parts.scheme.lower() not in _PROXY_SCHEMES:
        return "is not the URL of a proxy: its scheme is none of http, https and socks5"
    if not host or not _HOST.fullmatch(unquote(host)) or port == 0:
        return "is not the URL of a proxy: it has no host"
    if "@" in f"{parts.path}{parts.query}{parts.fragment}" or parts.netloc.count("@") > 1:
        return "is not the URL of a proxy: an @ stands after its host, so that part of a password would be the host"
    return ""
