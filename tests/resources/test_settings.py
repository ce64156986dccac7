from pathlib import Path

import pytest
from pydantic import ValidationError

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.build import AptSource, BuildSettings
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.pipeline import Settings, SettingsError
from hyops_assets.settings.repository import RepositorySettings
from hyops_assets.settings.signing_keys import RETIRED_ROLLING_KEY, ROLLING_KEY, SigningKey
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite, Sites, default_site
from resources.settings import load_settings, save_settings
from resources.yaml_files import MAX_BYTES

WRONG_KEYS = """
feed:
  poll_seconds: 1
  sensor: maybe
build:
  disk_bytes: 7
  no_such_key: 1
sites:
  hetzner:
    Upper: {}
  proxmox:
    lab: {host: pve, node: pve1, token_id: a@pve!b, token_env: lower_case}
"""

EVERYTHING = Settings(
    lab=True,
    feed=FeedSettings(
        keys=[ROLLING_KEY, SigningKey(name="lab", public_key=RETIRED_ROLLING_KEY.public_key, lab=True)],
        mirror="https://m/",
    ),
    build=BuildSettings(disk_bytes=1 << 30, apt_sources=[AptSource(line="deb file:/x y z", keyring=Path("/k.gpg"))]),
    repository=RepositorySettings(directory=Path("/objects"), public_base_url="https://objects.example"),
    sites=Sites(
        proxmox={
            "one": ProxmoxSite(
                host="pve", node="pve1", token_id="a@pve!b", token_env="PVE_TOKEN", vmid_range=(100, 200), seed="auto"
            )
        },
        hetzner={"two": HetznerSite(locations=["hel1"], default=True)},
    ),
)


@pytest.fixture
def root(tmp_path: Path) -> RuntimeRoot:
    return RuntimeRoot(tmp_path / "root")


def written(root: RuntimeRoot, content: str | bytes) -> Path:
    root.settings_file.parent.mkdir(parents=True)
    root.settings_file.write_bytes(content.encode() if isinstance(content, str) else content)
    return root.settings_file


def test_an_environment_without_a_file_has_the_defaults_and_none_is_made(root: RuntimeRoot) -> None:
    assert load_settings(root) == Settings()
    assert not root.path.exists()


@pytest.mark.parametrize("content", ["", "# nothing but a comment\n", "---\n"])
def test_a_file_that_says_nothing_means_the_defaults(root: RuntimeRoot, content: str) -> None:
    written(root, content)
    assert load_settings(root) == Settings()


@pytest.mark.parametrize("settings", [Settings(), EVERYTHING], ids=["defaults", "everything"])
def test_what_is_saved_is_loaded(root: RuntimeRoot, settings: Settings) -> None:
    save_settings(root, settings, heading="who wrote it")
    assert load_settings(root) == settings


def test_a_saved_file_says_who_wrote_it_and_only_what_is_not_default(root: RuntimeRoot) -> None:
    path = save_settings(root, Settings(lab=True), heading="who wrote it")
    assert path.read_text() == "# who wrote it\nlab: true\n"


def test_a_saved_file_is_its_owners_alone(root: RuntimeRoot) -> None:
    path = save_settings(root, Settings(), heading="test")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [directory.stat().st_mode & 0o777 for directory in (path.parent, root.path)] == [0o700, 0o700]
    assert [left.name for left in path.parent.iterdir()] == ["pipeline.yml"]


def test_saving_again_makes_a_readable_file_private(root: RuntimeRoot) -> None:
    written(root, "lab: true\n").chmod(0o644)
    assert save_settings(root, Settings(), heading="test").stat().st_mode & 0o777 == 0o600


def test_every_wrong_key_is_named_at_once(root: RuntimeRoot) -> None:
    path = written(root, WRONG_KEYS)
    with pytest.raises(SettingsError) as caught:
        load_settings(root)
    for key in (
        str(path),
        "feed.poll_seconds",
        "feed.sensor",
        "build.disk_bytes",
        "build.no_such_key",
        "sites.hetzner.Upper",
        "sites.proxmox.lab.token_env",
    ):
        assert key in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (" " * (MAX_BYTES + 1), "larger than"),
        ("feed: [unclosed", "cannot be read"),
        (b"\xff\xfe\x00\x01", "cannot be read"),
        ("feed: 2026-13-45", "cannot be read"),
        ("[" * 20_000, "cannot be read"),
        ("!!python/object/apply:os.system [id]", "cannot be read"),
        ("- a list", "the file: "),
        ("just text", "the file: "),
    ],
    ids=["huge", "unclosed", "binary", "impossible-date", "deep", "code", "list", "text"],
)
def test_what_is_no_settings_file_is_one_line_that_names_the_file(
    root: RuntimeRoot, content: str | bytes, why: str
) -> None:
    path = written(root, content)
    with pytest.raises(SettingsError, match=why) as caught:
        load_settings(root)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_link_that_leads_nowhere_is_not_taken_for_the_defaults(root: RuntimeRoot) -> None:
    written(root, "").unlink()
    root.settings_file.symlink_to("nowhere.yml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(root)


def test_a_directory_in_its_place_is_named(root: RuntimeRoot) -> None:
    root.settings_file.mkdir(parents=True)
    with pytest.raises(SettingsError, match="no regular file"):
        load_settings(root)


def test_a_link_to_a_file_is_followed(root: RuntimeRoot) -> None:
    path = written(root, "lab: true\n")
    path.rename(path.with_name("ours.yml"))
    path.symlink_to("ours.yml")
    assert load_settings(root).lab


def test_a_labs_key_counts_in_a_lab_only() -> None:
    assert [key.name for key in EVERYTHING.trusted_keys] == ["vyos-rolling", "lab"]
    assert [key.name for key in EVERYTHING.model_copy(update={"lab": False}).trusted_keys] == ["vyos-rolling"]


@pytest.mark.parametrize("kind", ["proxmox", "hetzner"])
def test_a_missing_site_says_which_are_there_and_how_to_add_it(kind: str) -> None:
    with pytest.raises(SettingsError, match=f"no {kind} site 'other'") as caught:
        getattr(EVERYTHING, f"{kind}_site")("other")
    assert f"sites.{kind}.other" in caught.value.hint
    assert f"configured: {'one' if kind == 'proxmox' else 'two'}" in caught.value.message


def test_the_default_site_is_the_marked_one_else_the_first_by_name() -> None:
    assert default_site({}) is None
    assert default_site({"b": HetznerSite(), "a": HetznerSite()}) == "a"
    assert default_site({"a": HetznerSite(), "b": HetznerSite(default=True)}) == "b"


@pytest.mark.parametrize(
    ("sites", "why"),
    [
        ({"hetzner": {"a": {}, "b": {}}}, "hetzner sites a and b are one place"),
        (
            {"hetzner": {"a": {"default": True}, "b": {"token_env": "B", "default": True}}},
            "a, b are all marked default",
        ),
        (
            {
                "proxmox": {
                    name: {"host": "pve", "node": "pve1", "token_id": "a@pve!b", "token_env": name.upper()}
                    for name in ("a", "b")
                }
            },
            "proxmox sites a and b are one place",
        ),
    ],
)
def test_two_names_for_one_place_and_two_default_sites_are_refused(sites: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Sites.model_validate(sites)


def test_two_nodes_of_one_cluster_are_two_sites() -> None:
    made = {
        node: {"host": "pve", "node": node, "token_id": "a@pve!b", "token_env": "PVE_TOKEN"}
        for node in ("pve1", "pve2")
    }
    assert set(Sites.model_validate({"proxmox": made}).proxmox) == {"pve1", "pve2"}
