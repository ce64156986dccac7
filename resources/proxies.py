"""The proxy that the environment names for a URL (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`)."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.hosts import require_host
from hyops_assets.contract.urls import Url


class BadProxy(HyopsError):
    """A proxy's variable holds no URL of one."""


@dataclass(frozen=True)
class Proxy:
    """A proxy; its credentials, if any, stand in no repr.

    Attributes:
        url: without credentials.
        auth: name and password.
    """

    url: str
    auth: tuple[str, str] | None = field(default=None, repr=False)


def proxy_for(url: Url) -> Proxy | None:
    """Return the proxy that serves a URL, or None where it is asked directly.

    Raises:
        BadProxy: the variable holds something else; its text is not repeated, for it may hold a password.
    """
    named = getproxies()
    text = named.get(url.scheme) or named.get("all")
    if not text or proxy_bypass(url.place) or proxy_bypass(url.host):
        return None
    name = f"{url.scheme}_proxy" if named.get(url.scheme) else "all_proxy"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        scheme, port = parts.scheme, parts.port
        host = require_host(parts.hostname or "")
    except ValueError as error:
        raise _bad(name) from error
    if scheme not in {"http", "https"}:
        raise _bad(name)
    shown = f"[{host}]" if ":" in host else host
    auth = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username is not None else None
    return Proxy(f"{scheme}://{shown}:{port or (443 if scheme == 'https' else 80)}", auth)


def _bad(name: str) -> BadProxy:
    return BadProxy(
        f"the environment's {name} (or {name.upper()}) is no URL of a proxy",
        hint="set it to http://host:port, with user:password@ before the host where the proxy asks for it",
    )
