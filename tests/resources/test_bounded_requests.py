"""API clients' library against servers that drip: each exchange ends, and ordinary ones are as before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from google.auth.credentials import AnonymousCredentials

from hyops_assets.settings.repository import RepositorySettings
from hyops_assets.settings.sites import ProxmoxSite
from hyops_lab.authority import Authority
from resources.bounded_requests import BoundedAdapter
from resources.repository.gcs_clients import _client
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.timeouts import HetznerTimeouts
from resources.sites.proxmox.client import ProxmoxClient
from tests.resources.hostile import SLOW, answer, serving


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path / "authority")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.certificate_file))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return made


def session(whole_seconds: float) -> requests.Session:
    made = requests.Session()
    made.mount("https://", BoundedAdapter(whole_seconds))
    return made


ENDLESS = [name for name in SLOW if "flood" not in name and "padding" not in name]
"""This library takes an answer that announces another for the answer."""


@pytest.mark.parametrize("slow", ENDLESS)
def test_an_exchange_that_takes_for_ever_is_given_up(slow: str, authority: Authority) -> None:
    with (
        serving(SLOW[slow], authority) as server,
        session(0.5) as client,
        pytest.raises(requests.RequestException, match=r"timed out|longer than it may"),
    ):
        client.get(f"{server.url}/x", timeout=5)


def test_answers_and_kept_connections_are_as_before(authority: Authority) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"x" * 300_000)

    with serving(script, authority) as server, session(30) as client:
        for _ in range(2):
            assert len(client.get(f"{server.url}/x", timeout=5).content) == 300_000


def test_every_api_s_client_sends_by_it() -> None:
    site = ProxmoxSite(host="pve", node="pve1", token_id="a@pve!seed", token_env="X")
    proxmox = ProxmoxClient(site, "secret")._api._store["session"]
    hetzner = HetznerClient("https://api.hetzner.cloud/v1", "token", timeouts=HetznerTimeouts())._api._client._session
    bucket = _client(RepositorySettings(kind="gcs", bucket="records"), AnonymousCredentials())._http
    login = bucket._auth_request_session
    assert login is not None
    for held in (proxmox, hetzner, bucket, login):
        assert isinstance(held.get_adapter("https://somewhere.example/"), BoundedAdapter)
