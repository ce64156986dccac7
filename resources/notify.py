"""A webhook to which failures are reported: one POST of generic JSON, tried a few times.

The URL is a secret: its holder can post there. It is read from the environment when something has to be reported, and
stands in no error, no log and no setting. What a webhook does ends in time: each attempt as a whole, and all that one
notifier says together, for a sensor's tick has an end of its own.
"""

import json
import os
from collections.abc import Mapping

import dagster as dg
from pydantic import JsonValue
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.redaction import Redactor
from hyops_assets.contract.urls import BadUrl, Url
from hyops_assets.settings.notify import NotifySettings
from resources.answers import Pace, TooSlow, Unreachable, Untrusted
from resources.environment import of_environment
from resources.proxies import BadProxy
from resources.public_http import anonymous_client, opened
from resources.secrets import MissingSecret, UnusableSecret, require_proxies, secret
from resources.time_budget import NoTimeLeft, TimeBudget

ATTEMPTS = 3
ALL_SECONDS = 40.0
"""For all that one notifier says. A tick of a sensor takes 60 s at most, and Dagster hands it up to five failed runs:
one that does not end in time is begun again, and reports the same again."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ANY = range(100, 1000)
"""Statuses: what each means for a message is decided here, and no redirect is walked."""


class NotReportedYet(TransientError):
    """The webhook did not take a message, in a way that it may take a later one."""


class NotReported(HyopsError):
    """Nothing can be reported to the webhook as it is configured."""


class Notifier:
    """Reports to a webhook, if one is configured.

    Args:
        settings: `notify` in `pipeline.yml`.
        environ: holds the URL under the name that the settings give.
        timeout_seconds: for each attempt, from its connection to the answer's status.
        wait_seconds: between two attempts.
        all_seconds: for all that this notifier says, from its first message on.
    """

    def __init__(
        self,
        settings: NotifySettings,
        environ: Mapping[str, str],
        *,
        timeout_seconds: float = 5.0,
        wait_seconds: float = 2.0,
        all_seconds: float = ALL_SECONDS,
    ) -> None:
        self._name = settings.webhook_env
        self._environ = environ
        self._timeout_seconds = timeout_seconds
        self._wait_seconds = wait_seconds
        self._all_seconds = all_seconds
        self._budget: TimeBudget | None = None

    def __repr__(self) -> str:
        return f"Notifier({self._name})"

    def redacted(self, text: str) -> str:
        """Return a text without this environment's secrets."""
        return Redactor(self._environ, [self._name] if self._name else []).text(text)

    def report(self, message: Mapping[str, JsonValue]) -> bool:
        """Send a message; return whether there is a webhook to report to.

        Raises:
            NotReported: the variable is unset or holds no https URL, or the webhook refuses or redirects.
            NotReportedYet: it could not be reached, is overloaded or too slow, however often it was tried.
        """
        if self._name is None:
            return False
        url = self._url(self._name)
        if self._budget is None:
            self._budget = TimeBudget(self._all_seconds)
        attempts = Retrying(
            retry=retry_if_exception_type(NotReportedYet),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_fixed(self._wait_seconds),
            reraise=True,
        )
        content = json.dumps(Redactor(self._environ, [self._name]).document(dict(message))).encode()
        try:
            attempts(self._post, url, content, self._budget)
        except NoTimeLeft as error:
            raise NotReportedYet(
                f"the webhook of {self._name} took all the time there is: {error.message}",
                hint="look at the service behind it",
            ) from None
        return True

    def _post(self, url: Url, content: bytes, budget: TimeBudget) -> None:
        pace = Pace.within(min(self._timeout_seconds, budget.share()))
        # What is raised names the URL, whose path is the secret: none of it is passed on.
        try:
            with (
                anonymous_client(pace) as client,
                opened(
                    client,
                    url,
                    schemes=("https", "http"),
                    redirects=0,
                    method="POST",
                    content=content,
                    headers={"Content-Type": "application/json"},
                    ok=_ANY,
                ) as answer,
            ):
                status = answer.status
        except Unreachable as error:
            what = "takes too long" if isinstance(error, TooSlow) else "cannot be reached"
            raise NotReportedYet(
                f"the webhook of {self._name} {what} ({type(error.__cause__).__name__})",
                hint="check the network and the service behind it",
            ) from None
        except Untrusted:
            raise NotReported(
                f"the webhook of {self._name} shows a certificate that is not trusted, or the authorities to trust "
                "cannot be read",
                hint="for a private authority, set SSL_CERT_FILE to a bundle with it",
            ) from None
        except BadProxy as error:
            raise NotReported(error.message, hint=error.hint) from None
        if status >= 500 or status == 429:
            raise NotReportedYet(f"the webhook of {self._name} answers {status}", hint="look at the service behind it")
        if not 200 <= status < 300:
            raise NotReported(f"the webhook of {self._name} answers {status}", hint=f"check the URL in {self._name}")

    def _url(self, name: str) -> Url:
        try:
            held = secret(name, self._environ)
            require_proxies(self._environ)
        except MissingSecret:
            raise NotReported(
                f"{name} is not set", hint=f"export {name}, or remove notify.webhook_env from pipeline.yml"
            ) from None
        except UnusableSecret as error:
            raise NotReported(error.message, hint=error.hint) from None
        try:
            url = Url.parse(held, schemes=("https", "http"))
        except BadUrl:
            raise NotReported(
                f"{name} holds no URL of https",
                hint="set it to the URL of the webhook: without user, password and fragment, percent-encoded",
            ) from None
        if url.scheme != "https" and url.host not in _LOOPBACK:
            raise NotReported(f"{name} holds no https URL", hint="use https: a reader of the URL can post there")
        return url


def notifier() -> dg.ResourceDefinition:
    """Return the resource of the webhook that `pipeline.yml` names; nothing is sent yet.

    When it is needed it raises:
        SettingsError: `pipeline.yml` does not validate.
    """
    return of_environment(
        lambda environment: Notifier(environment.settings.notify, os.environ),
        "The webhook to which failures are reported.",
    )
