"""A webhook that is told what failed: one POST of generic JSON, tried a few times.

The URL is a secret: whoever has it can post there. It is read from the environment when something has to be told, and
stands in no error, no log and no setting.
"""

import logging
import os
from collections.abc import Mapping
from contextvars import ContextVar

import dagster as dg
import httpx
from pydantic import JsonValue
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.notify_settings import NotifySettings
from hyops_assets.contract.redaction import Redactor
from resources.secrets import MissingSecret, UnusableSecret, require_proxies, secret
from resources.settings import load_settings
from resources.without_config import without_config

ATTEMPTS = 3
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_telling: ContextVar[bool] = ContextVar("telling", default=False)
# httpx logs every URL that it asks, at INFO.
logging.getLogger("httpx").addFilter(lambda _: not _telling.get())


class NotToldYet(TransientError):
    """The webhook did not take a message, in a way that it may take a later one."""


class NotTold(HyopsError):
    """The webhook cannot be told anything as it is configured."""


class Notifier:
    """Tells a webhook, if one is configured.

    Args:
        settings: `notify` in `pipeline.yml`.
        environ: holds the URL under the name that the settings give.
        timeout_seconds: for each attempt.
        wait_seconds: between two attempts.
    """

    def __init__(
        self,
        settings: NotifySettings,
        environ: Mapping[str, str],
        *,
        timeout_seconds: float = 5.0,
        wait_seconds: float = 2.0,
    ) -> None:
        self._name = settings.webhook_env
        self._environ = environ
        self._timeout_seconds = timeout_seconds
        self._wait_seconds = wait_seconds

    def __repr__(self) -> str:
        return f"Notifier({self._name})"

    def redacted(self, text: str) -> str:
        """Return a text without this environment's secrets."""
        return Redactor(self._environ, [self._name] if self._name else []).text(text)

    def tell(self, message: Mapping[str, JsonValue]) -> bool:
        """Send a message; return whether there is somebody to be told.

        Raises:
            NotTold: the variable is unset or holds no https URL, or the webhook refuses.
            NotToldYet: it could not be reached, or is overloaded, however often it was tried.
        """
        if self._name is None:
            return False
        url = self._url(self._name)
        attempts = Retrying(
            retry=retry_if_exception_type(NotToldYet),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_fixed(self._wait_seconds),
            reraise=True,
        )
        redactor = Redactor(self._environ, [self._name])
        attempts(self._post, url, redactor.document(dict(message)))
        return True

    def _post(self, url: httpx.URL, message: JsonValue) -> None:
        # What httpx says of its errors may name the URL: none of it is passed on.
        before = _telling.set(True)
        try:
            status = httpx.post(url, json=message, timeout=self._timeout_seconds, follow_redirects=False).status_code
        except httpx.HTTPError as error:
            raise NotToldYet(
                f"the webhook of {self._name} cannot be reached ({type(error).__name__})", hint="check the network"
            ) from None
        finally:
            _telling.reset(before)
        if status >= 500 or status == 429:
            raise NotToldYet(f"the webhook of {self._name} answers {status}", hint="look at the service behind it")
        if status >= 300:
            raise NotTold(f"the webhook of {self._name} answers {status}", hint=f"check the URL in {self._name}")

    def _url(self, name: str) -> httpx.URL:
        try:
            held = secret(name, self._environ)
            require_proxies(self._environ)
        except MissingSecret:
            raise NotTold(
                f"{name} is not set", hint=f"export {name}, or remove notify.webhook_env from pipeline.yml"
            ) from None
        except UnusableSecret as error:
            raise NotTold(error.message, hint=error.hint) from None
        try:
            url = httpx.URL(held)
        except httpx.InvalidURL:
            raise NotTold(f"{name} holds no URL", hint="set it to the URL of the webhook") from None
        if url.scheme != "https" and not (url.scheme == "http" and url.host in _LOOPBACK):
            raise NotTold(f"{name} holds no https URL", hint="use https: whoever reads the URL can post there")
        return url


def notifier(root: RuntimeRoot) -> dg.ResourceDefinition:
    """Return the resource of the webhook that `pipeline.yml` names; nothing is sent yet.

    When it is needed it raises:
        SettingsError: `pipeline.yml` does not validate.
    """
    return without_config(
        lambda _: Notifier(load_settings(root).notify, os.environ), "The webhook that is told what failed."
    )
