"""When seeds request themselves: the real definitions, evaluated as Dagster's daemon evaluates them."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    # A run writes it by itself; an event that is reported without a run must say it.
    AssetCheckEvaluationTargetMaterializationData,
)

from hyops_assets.assets.hetzner_image import hetzner_image
from hyops_assets.assets.proxmox_template import proxmox_template
from hyops_assets.assets.publishing import published_contract
from hyops_assets.checks.published import anonymous_read_back
from hyops_assets.cli.graph import Graph, RunFailed
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import Settings
from hyops_assets.contract.site_settings import HetznerSite, ProxmoxSite, Sites
from hyops_assets.definitions import build_definitions
from hyops_assets.partitions import VERSIONS, add_sites, add_version, hetzner_seed, proxmox_seed
from resources.settings import save_settings

FIRST = "2026.03.03-0027-rolling"
SECOND = "2026.03.04-0027-rolling"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def proxmox_site(seed: str) -> ProxmoxSite:
    return ProxmoxSite.model_validate(
        {"host": "pve", "node": "pve1", "token_id": "a@pve!b", "token_env": "PVE_TOKEN", "seed": seed}
    )


SETTINGS = Settings(
    sites=Sites(
        proxmox={"auto": proxmox_site("auto"), "by-hand": proxmox_site("manual")},
        hetzner={"auto": HetznerSite(seed="auto"), "by-hand": HetznerSite()},
    )
)


class Daemon:
    """The automation sensor, tick by tick."""

    def __init__(self, root: RuntimeRoot, instance: dg.DagsterInstance) -> None:
        self.root = root
        self.instance = instance
        self._cursor = None
        self.configure(SETTINGS)

    def configure(self, settings: Settings) -> None:
        save_settings(self.root, settings, heading="test")
        add_sites(self.instance, settings)
        self._definitions = build_definitions(self.root, settings)

    def tick(self) -> dict[str, set[str | None]]:
        """Evaluate once and return what was requested, by asset."""
        result = dg.evaluate_automation_conditions(
            self._definitions, self.instance, asset_selection=dg.AssetSelection.groups("seeds"), cursor=self._cursor
        )
        self._cursor = result.cursor
        asked = {
            key.to_user_string(): result.get_requested_partitions(key)
            for key in (proxmox_template.key, hetzner_image.key)
        }
        return {asset: set(keys) for asset, keys in asked.items() if keys}

    def publish(self, version: str = FIRST, *, check: bool | None = True) -> None:
        """A run materializes the contract of a version, and its check passes, fails, or (None) does not run yet."""

        @dg.asset(key=published_contract.key, partitions_def=VERSIONS)
        def contract() -> None: ...

        @dg.asset_check(asset=contract, name="anonymous_read_back", blocking=True, partitions_def=VERSIONS)
        def read_back() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=bool(check))

        add_version(self.instance, version)
        dg.materialize(
            [contract] if check is None else [contract, read_back],
            instance=self.instance,
            partition_key=version,
            raise_on_error=False,
            run_config=QUIET,
        )

    def check(self, version: str = FIRST, *, passed: bool) -> None:
        """The read-back looked at the latest contract of a version: a result counts for the bytes it looked at."""
        (latest,) = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=published_contract.key, asset_partitions=[version]), limit=1
        ).records
        (key,) = anonymous_read_back.check_keys
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=passed,
                blocking=True,
                partition=version,
                target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                    storage_id=latest.storage_id, run_id=latest.run_id, timestamp=latest.timestamp
                ),
            )
        )

    def seeded(self, version: str = FIRST) -> None:
        """Both seeds of a version ended well."""
        for asset, key in ((proxmox_template, proxmox_seed), (hetzner_image, hetzner_seed)):
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(asset.key, partition=key("auto", version))
            )

    def fail_a_seed(self, version: str = FIRST) -> None:
        """Run the Hetzner seed for real: it fails, because no contract document is there."""
        with pytest.raises(RunFailed, match="published_contract"):
            Graph(self.root, self.instance).seed_hetzner("auto", version)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        daemon = Daemon(RuntimeRoot(tmp_path / "root"), instance)
        assert daemon.tick() == {}
        yield daemon


def everywhere(version: str = FIRST, *sites: str) -> dict[str, set[str | None]]:
    """Both seeds of a version at the sites that seed by themselves."""
    return {
        "proxmox_template": {proxmox_seed("auto", version)},
        "hetzner_image": {hetzner_seed(site, version) for site in sites or ("auto",)},
    }


def test_a_published_version_is_seeded_once_at_every_site_that_seeds_by_itself_and_nowhere_else(
    daemon: Daemon,
) -> None:
    daemon.publish()
    assert daemon.tick() == everywhere()
    assert daemon.tick() == {}
    daemon.seeded()
    assert daemon.tick() == {}


def test_a_real_cloud_is_seeded_by_hand_unless_its_site_says_otherwise() -> None:
    assert HetznerSite().seed == "manual"
    assert ProxmoxSite.model_fields["seed"].default == "manual"


def test_nothing_is_seeded_before_the_contracts_check_ran(daemon: Daemon) -> None:
    daemon.publish(check=None)
    assert daemon.tick() == {}
    assert daemon.tick() == {}
    daemon.check(passed=True)
    assert daemon.tick() == everywhere()


def test_nothing_is_seeded_whose_check_failed_until_it_passes(daemon: Daemon) -> None:
    daemon.publish(check=False)
    assert daemon.tick() == {}
    daemon.publish(check=True)
    assert daemon.tick() == everywhere()


def test_a_check_that_passed_for_one_version_says_nothing_of_another(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    daemon.publish(SECOND, check=None)
    assert daemon.tick() == everywhere(FIRST)
    daemon.check(SECOND, passed=True)
    assert daemon.tick() == everywhere(SECOND)


def test_versions_that_are_published_between_two_ticks_are_all_seeded(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    daemon.publish(SECOND)
    asked = daemon.tick()
    assert asked["hetzner_image"] == {hetzner_seed("auto", FIRST), hetzner_seed("auto", SECOND)}


def test_a_failed_seed_is_asked_for_once_more_and_then_left_to_people(daemon: Daemon) -> None:
    daemon.publish()
    daemon.tick()
    daemon.fail_a_seed()
    assert daemon.tick() == {"hetzner_image": {hetzner_seed("auto", FIRST)}}
    daemon.fail_a_seed()
    assert daemon.tick() == {}
    assert daemon.tick() == {}


def test_a_version_that_is_published_again_after_a_failed_seed_is_seeded(daemon: Daemon) -> None:
    daemon.publish()
    daemon.tick()
    daemon.fail_a_seed()
    daemon.tick()
    daemon.fail_a_seed()
    daemon.tick()
    daemon.publish()
    assert daemon.tick()["hetzner_image"] == {hetzner_seed("auto", FIRST)}


def test_a_publication_right_after_a_request_is_not_swallowed(daemon: Daemon) -> None:
    daemon.publish()
    assert daemon.tick() == everywhere()
    daemon.seeded()
    daemon.publish()
    assert daemon.tick() == everywhere()


def test_a_new_site_is_not_asked_to_seed_history_but_every_later_version(daemon: Daemon) -> None:
    daemon.publish()
    daemon.tick()
    daemon.seeded()
    sites = SETTINGS.sites.model_copy(update={"hetzner": SETTINGS.sites.hetzner | {"new": HetznerSite(seed="auto")}})
    daemon.configure(SETTINGS.model_copy(update={"sites": sites}))
    assert daemon.tick() == {}
    assert daemon.tick() == {}
    daemon.publish(SECOND)
    assert daemon.tick() == everywhere(SECOND, "auto", "new")


def test_a_site_that_is_switched_to_by_hand_is_left_alone_at_once(daemon: Daemon) -> None:
    daemon.configure(
        SETTINGS.model_copy(update={"sites": Sites(hetzner={"auto": HetznerSite()}, proxmox=SETTINGS.sites.proxmox)})
    )
    daemon.publish()
    assert daemon.tick() == {"proxmox_template": {proxmox_seed("auto", FIRST)}}


def test_what_was_published_before_the_first_tick_is_seeded_by_hand(tmp_path: Path) -> None:
    """Dagster takes what stands at the first tick as handled; docs say so, a standing check will find it."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        daemon = Daemon(RuntimeRoot(tmp_path / "root"), instance)
        daemon.publish()
        assert daemon.tick() == {}
        assert daemon.tick() == {}
        daemon.publish(SECOND)
        assert daemon.tick() == everywhere(SECOND)
