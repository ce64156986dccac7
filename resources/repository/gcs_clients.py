"""Google's clients for the bucket that the settings name: one with the credentials that publish, one without any.

A service account's key comes from the environment (`gcs_key.py`). Without one it is application default credentials,
and dagster-gcp's GCSResource makes the client: it knows these and a project, and neither keys nor endpoints
(https://github.com/dagster-io/dagster/issues/17363), so it serves in that case only.
"""

from collections.abc import Mapping

import requests
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import storage

from hyops_assets.contract.errors import HyopsError
from hyops_assets.settings.repository import RepositorySettings
from resources.bounded_requests import BoundedAdapter
from resources.repository.gcs import GcsRepository
from resources.repository.gcs_key import KEY_ENV, KEY_FILE_ENV, service_account_key
from resources.secrets import require_proxies

_WHOLE_SECONDS = 120.0
_NO_PROJECT = "none"
"""Creating and reading objects needs no project, but the client wants a name."""


class NoCredentials(HyopsError):
    """Nothing says with whose rights to publish."""


def gcs_repository(settings: RepositorySettings, environ: Mapping[str, str]) -> GcsRepository:
    """Return the repository in the bucket of some settings. Nothing is asked of the service yet.

    Args:
        settings: of kind `gcs`.
        environ: names the service account's key; application default credentials look at the process' own.

    Raises:
        BadKey: the key that the environment names is none. That no credentials are found at all (NoCredentials) is
            said when they are first needed: who only reads what is published needs none.
    """
    key = service_account_key(environ)
    return GcsRepository(
        lambda: _client(settings, key) if key else _with_application_default(settings),
        _client(settings, AnonymousCredentials()),
        str(settings.bucket),
        public_base_url=settings.public_base_url,
        principal=str(key.service_account_email) if key else None,
    )


def connected(settings: RepositorySettings, environ: Mapping[str, str]) -> storage.Client:
    """Return Google's client with the credentials that the environment names, for who administers a bucket.

    Raises:
        BadKey: the key that the environment names is none.
        NoCredentials: there are none.
    """
    key = service_account_key(environ)
    return _client(settings, key) if key else _with_application_default(settings)


def _with_application_default(settings: RepositorySettings) -> storage.Client:
    how = f"set {KEY_FILE_ENV} or {KEY_ENV}, or run gcloud auth application-default login"
    if settings.endpoint is not None:
        raise NoCredentials(
            f"repository.endpoint is {settings.endpoint}, and no service account key is named for it",
            hint=f"set {KEY_FILE_ENV} or {KEY_ENV}: application default credentials are for Google's own endpoint",
        )
    # It brings pandas and BigQuery, five seconds of them: only for who gives no key.
    from dagster_gcp.gcs import GCSResource

    try:
        return _bounded(GCSResource(project=settings.project).get_client())
    except DefaultCredentialsError as error:
        raise NoCredentials(f"there are no credentials for gs://{settings.bucket}: {error}", hint=how) from error


def _client(settings: RepositorySettings, credentials: Credentials) -> storage.Client:
    require_proxies()
    options = ClientOptions(api_endpoint=settings.endpoint) if settings.endpoint else None
    return _bounded(storage.Client(settings.project or _NO_PROJECT, credentials, client_options=options))


def _bounded(client: storage.Client) -> storage.Client:
    """Return a client whose every exchange has an end: its library's timeouts hold for each read."""
    # It logs in by a session of its own, at the address that the key names.
    login: requests.Session | None = getattr(client._http, "_auth_request_session", None)
    for session in (client._http, *([login] if login is not None else [])):
        for scheme in ("https://", "http://"):
            session.mount(scheme, BoundedAdapter(_WHOLE_SECONDS))
    return client
