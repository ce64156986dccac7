"""The Dagster resource: sites from `pipeline.yml`, the token from the environment, at every run anew."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.pipeline import Settings, SettingsError
from hyops_assets.settings.sites import Sites
from resources.environment import environment
from resources.secrets import MissingSecret
from resources.settings import save_settings
from resources.sites.proxmox.resource import ProxmoxSeeders, proxmox_sites
from tests.proxmox_scene import QUICK, TOKEN, Scene, proxmox_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


def _seeders(scene: Scene, **options: object) -> ProxmoxSeeders:
    root = RuntimeRoot(scene.directory / "root")
    settings = Settings(lab=True, sites=Sites(proxmox={"lab": scene.site(**options)}))
    save_settings(root, settings, heading="a test's")
    with dg.build_resources({"environment": environment(root), "proxmox": proxmox_sites(QUICK)}) as resources:
        return resources.proxmox


def test_a_configured_site_is_seeded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXMOX_TOKEN", TOKEN)

    assert _seeders(scene).seeder("lab").seed(scene.request()).outcome == "created"


def test_a_site_without_a_ca_file_trusts_what_ssl_cert_file_names(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXMOX_TOKEN", TOKEN)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(scene.authority.bundle_file))

    assert _seeders(scene, ca_file=None).seeder("lab").find(scene.record) is None


def test_a_site_that_is_not_configured_says_where_to_add_it(scene: Scene) -> None:
    with pytest.raises(SettingsError, match=r"sites\.proxmox\.berlin"):
        _seeders(scene).seeder("berlin")


def test_an_unset_token_is_named_by_its_variable(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROXMOX_TOKEN", raising=False)

    with pytest.raises(MissingSecret, match="PROXMOX_TOKEN"):
        _seeders(scene).seeder("lab")
