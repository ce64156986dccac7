"""Rules of `pipeline.yml` that hold before anything is looked at: a wrong line is refused by its key."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.signing_keys import ROLLING_KEY
from tests.contract.leaves import HUGE, LINES, leaves

OWN_KEY = {"name": "own", "public_key": ROLLING_KEY.public_key}
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
    ("document", "message"),
    [
        ({"repositry": {}}, "repositry"),
        ({"repository": {"kind": "gcs"}}, "kind gcs needs the setting repository.bucket"),
        ({"repository": {"bucket": "records"}}, "kind directory has no repository.bucket"),
        ({"repository": {"kind": "gcs", "bucket": "records", "directory": "/srv"}}, "kind gcs has no repository.dir"),
        ({"repository": {"kind": "gcs", "bucket": "Records"}}, "repository.bucket"),
        ({"repository": {"kind": "gcs", "bucket": "records", "endpoint": "http://gcs.example.com"}}, "endpoint"),
        ({"repository": {"kind": "s3", "region": "eu-central-1"}}, "kind s3 needs the setting repository.bucket"),
        (
            {"repository": {"kind": "s3", "bucket": "records"}},
            "kind s3 needs repository.endpoint, or",
        ),
        ({"repository": {"kind": "s3", "bucket": "records", "region": "FSN 1"}}, "repository.region"),
        ({"repository": {"kind": "s3", "bucket": "re_cords", "region": "fsn1"}}, "letters, digits, dots and hyphens"),
        (
            {"repository": {"kind": "s3", "bucket": "records", "region": "x", "project": "abcd"}},
            "kind s3 has no r",
        ),
        ({"repository": {"kind": "s3", "bucket": "records", "endpoint": "http://s3.example.com"}}, "endpoint"),
        ({"repository": {"kind": "s3", "bucket": "records", "endpoint": "https://k:s@s3.example.com"}}, "endpoint"),
        ({"repository": {"kind": "gcs", "bucket": "records", "region": "eu"}}, "kind gcs has no repository.region"),
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
        ({"feed": {"min_hours_between_builds": float("inf")}}, "feed.min_hours_between_builds"),
        ({"feed": {"min_hours_between_builds": float("nan")}}, "feed.min_hours_between_builds"),
        ({"feed": {"max_builds_in_flight": 0}}, "feed.max_builds_in_flight"),
        ({"feed": {"stale_after_days": 0}}, "feed.stale_after_days"),
        ({"build": {"boot_timeout_seconds": 29}}, "build.boot_timeout_seconds"),
        ({"upkeep": {"full_hash_days": 0}}, "upkeep.full_hash_days"),
        ({"sites": {"hetzner": {"main": {"snapshot_limit": 0}}}}, "sites.hetzner.main.snapshot_limit"),
        ({"feed": {"poll_seconds": 10**12}}, "feed.poll_seconds"),
        ({"feed": {"urls": ["https://github.com:99999/version.json"]}}, "feed.urls.0"),
        ({"feed": {"urls": ["https://github.com/a/../b/version.json"]}}, "feed.urls.0"),
        ({"feed": {"mirror": "https://user:word@mirror.example"}}, "feed.mirror"),
        ({"feed": {"iso_hosts": ["github.com/x"]}}, "feed.iso_hosts.0"),
        ({"feed": {"iso_hosts": ["github.com:0"]}}, "feed.iso_hosts.0"),
        ({"feed": {"iso_hosts": ["*"]}}, "feed.iso_hosts.0"),
        ({"feed": {"iso_hosts": ["evil.example:22"]}}, "feed.iso_hosts.0"),
        ({"feed": {"stream_iso_hosts": ["evil.example:80"]}}, "feed.stream_iso_hosts.0"),
        ({"feed": {"iso_hosts": ["user@evil.example"]}}, "feed.iso_hosts.0"),
        ({"feed": {"iso_hosts": ["user:word@evil.example:8443"]}}, "feed.iso_hosts.0"),
        ({"feed": {"iso_hosts": ["evil.example "]}}, "feed.iso_hosts.0"),
        ({"feed": {"iso_hosts": ["169.254.169.254"]}}, "feed.iso_hosts.0"),
        ({"feed": {"mirror": "https://169.254.169.254/isos"}}, "feed.mirror"),
        ({"feed": {"github_api": "http://[::ffff:169.254.169.254]"}}, "feed.github_api"),
        ({"feed": {"keys": [{"name": "own", "public_key": "RWQ"}]}}, "feed.keys.0.public_key"),
        ({"feed": {"keys": ["vyos-release", {"name": "own", "public_key": "é" * 56}]}}, "feed.keys.1.public_key"),
        ({"feed": {"keys": ["vyos-release", "vyos-release"]}}, "have the same id"),
        (
            {"feed": {"keys": [OWN_KEY | {"valid_from": "2026-02-02", "valid_until": "2026-02-01"}]}},
            "feed.keys.0: ",
        ),
        ({"feed": {"urls": ["http://mirror.example/version.json"]}}, "feed.urls.0"),
        ({"feed": {"mirror": "http://mirror.example/isos"}}, "feed.mirror"),
        ({"feed": {"github_api": "http://api.github.example"}}, "feed.github_api"),
        ({"sites": {"hetzner": {"main": {"endpoint": "http://api.example/v1"}}}}, "sites.hetzner.main: "),
        ({"build": {"apt_sources": [{"line": "deb-src http://h/d bookworm main", "keyring": "/k"}]}}, "apt_sources.0"),
        (
            {"build": {"apt_sources": [{"line": "deb [Trusted=yes] http://h/d bookworm", "keyring": "/k"}]}},
            "signatures off",
        ),
        (
            {"build": {"apt_sources": [{"line": "deb https://u:hunter2@h/d bookworm", "keyring": "/k"}]}},
            "holds credentials",
        ),
        ({"upkeep": {"keep_days": 10**12}}, "upkeep.keep_days"),
        ({"seeding": {"rest_after_minutes": float("inf")}}, "seeding.rest_after_minutes"),
        ({"build": {"packages": ["--allow-unauthenticated"]}}, "build.packages.0"),
        ({"build": {"vyos_vm_images": {"checkout": "/srv/x", "playbook": "../../x.yml"}}}, "playbook"),
        ({"repository": {"kind": "gcs", "bucket": "records", "endpoint": "https://h:99999"}}, "repository.endpoint"),
        ({"repository": {"kind": "gcs", "bucket": "records", "endpoint": "http://169.254.169.254"}}, "endpoint"),
        ({"repository": {"kind": "gcs", "bucket": "records", "endpoint": "https://169.254.1.1"}}, "endpoint"),
        ({"repository": {"kind": "gcs", "bucket": "records", "endpoint": "https://[fe80::1]"}}, "endpoint"),
        ({"repository": {"public_base_url": "https://0.0.0.0/records"}}, "public_base_url"),
        ({"sites": {"hetzner": {"main": {"endpoint": "http://169.254.169.254/v1"}}}}, "sites.hetzner.main.endpoint"),
        ({"sites": {"hetzner": {"main": {"rescue_ssh_port": -1}}}}, "sites.hetzner.main.rescue_ssh_port"),
        ({"sites": {"hetzner": {"main": {"locations": ["fsn1&x=y"]}}}}, "sites.hetzner.main.locations.0"),
        ({"sites": {"hetzner": {"main": {"endpoint": "https://[::1/v1"}}}}, "sites.hetzner.main.endpoint"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(document: dict[str, Any], message: str) -> None:
    assert message in refusal(document)


def test_no_key_of_pipeline_yml_takes_a_secret() -> None:
    """Sites name variables: a token written into a site is an unknown key, and refused."""
    for site in ({"token": "abc"}, {"hcloud_token": "abc"}):
        assert "Extra inputs are not permitted" in refusal({"sites": {"hetzner": {"main": site}}})
    assert "Extra inputs" in refusal({"sites": {"proxmox": {"dc1": PROXMOX | {"token_secret": "abc"}}}})


def test_two_default_sites_of_one_cloud_are_refused_and_so_is_one_place_with_two_names() -> None:
    first, second = PROXMOX | {"default": True}, PROXMOX | {"host": "other.example.com", "default": True}
    assert "all marked default" in refusal({"sites": {"proxmox": {"a": first, "b": second}}})
    assert "are one place" in refusal({"sites": {"proxmox": {"a": PROXMOX, "b": PROXMOX}}})
    Settings.model_validate({"sites": {"proxmox": {"a": first, "b": second | {"default": False}}}})


@pytest.mark.parametrize(
    "spelled", ["https://api.hetzner.cloud/v1/", "https://API.Hetzner.cloud/v1", "https://api.hetzner.cloud:443/v1"]
)
def test_one_project_is_one_place_however_its_endpoint_is_spelled(spelled: str) -> None:
    """Two names of it would adopt each other's images, and each would count its own money."""
    assert "are one place" in refusal({"sites": {"hetzner": {"a": {}, "b": {"endpoint": spelled}}}})
    Settings.model_validate({"sites": {"hetzner": {"a": {}, "b": {"endpoint": spelled, "token_env": "OTHER"}}}})


@pytest.mark.parametrize("vmid_range", [(9299, 9200), (99, 200), (200, 1_000_000_000)])
def test_a_range_that_holds_no_vmid_of_proxmox_is_refused(vmid_range: tuple[int, int]) -> None:
    assert "vmid_range" in refusal({"sites": {"proxmox": {"dc1": PROXMOX | {"vmid_range": vmid_range}}}})


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("port", 0),
        ("port", True),
        ("port", 99999),
        ("host", "pve.example.com/x"),
        ("host", "127.1"),
        ("host", "169.254.0.1"),
        ("host", "fe80::1"),
        ("host", "0x7f000001"),
        ("host", "user@pve"),
        ("node", "../../access/users"),
        ("node", "pve1-"),
        ("bridge", "vmbr0,firewall=0,tag=5"),
        ("storage", "local:../../x,import-from=/etc/shadow"),
        ("import_storage", "1local"),
        ("pool", ".."),
        ("token_id", "root@pam"),
        ("token_id", "a@pve!b\nc"),
        ("token_env", "PATH=x"),
        ("ca_file", "/etc/a\0b"),
    ],
)
def test_what_proxmox_would_read_as_something_else_is_refused_by_its_key(key: str, wrong: object) -> None:
    assert f"sites.proxmox.dc1.{key}" in refusal({"sites": {"proxmox": {"dc1": PROXMOX | {key: wrong}}}})


@pytest.mark.parametrize(
    ("key", "good"),
    [
        ("host", "10.0.0.1"),
        ("host", "fd00::1"),
        ("host", "pve"),
        ("node", "pve-01"),
        ("bridge", "vmbr0.100"),
        ("bridge", "vnet_a1"),
        ("storage", "ceph-pool.1"),
        ("pool", "vyos_templates"),
        ("token_id", "hyops@pve!seed-1"),
    ],
)
def test_what_proxmox_itself_takes_is_taken(key: str, good: str) -> None:
    settings = Settings.model_validate({"sites": {"proxmox": {"dc1": PROXMOX | {key: good}}}})
    assert getattr(settings.sites.proxmox["dc1"], key) == good


BAD_BUCKETS = ["a.b..c", ".ab", "ab.", "a-.b", "a.-b", "192.168.5.4", "goog-records", "my-google-records"]
BAD_BUCKETS += ["g00gle-records", "ab", "a" * 64, ".".join(["a" * 60] * 4), "a/b", "a b", "r\u00e9cords", "Records"]


@pytest.mark.parametrize("bucket", BAD_BUCKETS)
def test_a_bucket_that_google_would_not_make_is_refused_with_what_its_name_may_be(bucket: str) -> None:
    said = refusal({"repository": {"kind": "gcs", "bucket": bucket}})
    assert said.startswith("repository.bucket: Value error, a bucket's name")


@pytest.mark.parametrize("bucket", ["abc", "records_1", "images.example.com", "a1b", ".".join(["a" * 60] * 3)])
def test_a_bucket_that_google_makes_is_taken(bucket: str) -> None:
    settings = Settings.model_validate({"repository": {"kind": "gcs", "bucket": bucket}})
    assert settings.repository.bucket == bucket


def test_a_host_is_the_same_in_upper_case_and_its_port_may_be_said() -> None:
    settings = Settings.model_validate({"feed": {"iso_hosts": ["GitHub.com", "mirror.example:443", "10.0.0.1:8443"]}})
    assert settings.feed.iso_hosts == ["github.com", "mirror.example:443", "10.0.0.1:8443"]


LEAVES = list(leaves(Settings))


@pytest.mark.parametrize(("path", "kind", "demanded"), LEAVES, ids=[leaf[0] for leaf in LEAVES])
def test_every_text_has_a_grammar_and_every_number_has_bounds(path: str, kind: type, demanded: Any) -> None:
    """The next setting without one fails here."""
    adapter = TypeAdapter(demanded)
    for wrong in HUGE if kind in {int, float} else LINES:
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


def test_the_walk_sees_every_section() -> None:
    paths = {leaf[0] for leaf in LEAVES}
    assert {"feed.urls[]", "build.command.build_command", "sites.proxmox[].port", "notify.webhook_env"} <= paths
    assert len(paths) > 50
