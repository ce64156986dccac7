"""Rules of `pipeline.yml` that hold before anything is looked at: a wrong line is refused by its key."""

from typing import Any

import pytest
from pydantic import ValidationError

from hyops_assets.contract.settings import Settings

PROXMOX = {"host": "pve.example.com", "node": "pve1", "token_id": "hyops@pve!seed", "token_env": "PVE_TOKEN"}


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(document)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in refused.value.errors())


def test_nothing_at_all_is_an_environment_that_works_on_its_own() -> None:
    settings = Settings.model_validate({})
    assert settings.repository.kind == "directory"
    assert (settings.build.method, settings.feed.sensor) == ("native", "stopped")
    assert (settings.sites.proxmox, settings.sites.hetzner, settings.lab) == ({}, {}, False)


def test_settings_cannot_be_changed_while_a_run_reads_them() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().lab = True  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"repositry": {}}, "repositry"),
        ({"repository": {"kind": "gcs"}}, "kind gcs needs the setting repository.bucket"),
        ({"repository": {"bucket": "records"}}, "kind directory has no repository.bucket"),
        ({"repository": {"kind": "gcs", "bucket": "records", "directory": "/srv"}}, "kind gcs has no repository.dir"),
        ({"repository": {"kind": "gcs", "bucket": "Records"}}, "repository.bucket"),
        ({"repository": {"kind": "gcs", "bucket": "records", "endpoint": "http://gcs.example.com"}}, "endpoint"),
        ({"repository": {"public_base_url": "gs://records"}}, "repository.public_base_url"),
        ({"repository": {"public_base_url": "http://images.example.com"}}, "repository.public_base_url"),
        ({"repository": {"public_base_url": "https://user:secret@images.example.com"}}, "public_base_url"),
        ({"repository": {"public_base_url": "https://images.example.com/?X-Goog-Signature=1"}}, "public_base_url"),
        ({"build": {"method": "command"}}, "needs the settings build.command"),
        ({"build": {"method": "vyos-vm-images"}}, "needs the settings build.vyos_vm_images"),
        ({"build": {"record_key": "vyos", "stream_record_key": "vyos"}}, "are the same"),
        ({"build": {"record_key": "../vyos"}}, "build.record_key"),
        ({"build": {"disk_bytes": (4 << 30) + 512}}, "build.disk_bytes"),
        ({"feed": {"poll_seconds": 0}}, "feed.poll_seconds"),
        ({"sites": {"hetzner": {"main": {"token_env": "not a name"}}}}, "sites.hetzner.main.token_env"),
        ({"sites": {"hetzner": {"../main": {}}}}, "sites.hetzner"),
        ({"sites": {"proxmox": {"dc1": {"host": "pve.example.com"}}}}, "sites.proxmox.dc1.node"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(document: dict[str, Any], told: str) -> None:
    assert told in refusal(document)


def test_no_key_of_pipeline_yml_takes_a_secret() -> None:
    """Sites name variables: a token that someone writes out is a key that nobody knows."""
    for site in ({"token": "abc"}, {"hcloud_token": "abc"}):
        assert "Extra inputs are not permitted" in refusal({"sites": {"hetzner": {"main": site}}})
    assert "Extra inputs" in refusal({"sites": {"proxmox": {"dc1": PROXMOX | {"token_secret": "abc"}}}})


def test_two_default_sites_of_one_cloud_are_refused_and_so_is_one_place_with_two_names() -> None:
    first, second = PROXMOX | {"default": True}, PROXMOX | {"host": "other.example.com", "default": True}
    assert "all marked default" in refusal({"sites": {"proxmox": {"a": first, "b": second}}})
    assert "are one place" in refusal({"sites": {"proxmox": {"a": PROXMOX, "b": PROXMOX}}})
    Settings.model_validate({"sites": {"proxmox": {"a": first, "b": second | {"default": False}}}})


@pytest.mark.parametrize("vmid_range", [(9299, 9200), (99, 200), (200, 1_000_000_000)])
def test_a_range_that_holds_no_vmid_of_proxmox_is_refused(vmid_range: tuple[int, int]) -> None:
    assert "vmid_range" in refusal({"sites": {"proxmox": {"dc1": PROXMOX | {"vmid_range": vmid_range}}}})
