"""Instances with large grids: so many versions, seeded at so many sites of each cloud."""

from collections.abc import Iterable

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.storage.event_log import SqlEventLogStorage
from sqlalchemy import text

from hyops_assets.cli.instance import open_instance
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import BUILD_STATE
from hyops_assets.seeds.history import CONTRACT, READ_BACK
from hyops_assets.seeds.partitions import CLOUDS, VERSIONS, add_sites
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite, Sites
from resources.settings import save_settings
from resources.states.store import StateStore

DIGEST = "0" * 64
_ANY = "any"
_INSERT = text(
    "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, asset_key, partition)"
    " SELECT run_id, replace(event, :former, :quoted), dagster_event_type, '2025-01-01 00:00:00', asset_key,"
    " :partition FROM event_logs WHERE id = :id"
)


def versions_of(count: int) -> list[str]:
    """Return record versions, four a day."""
    days = [divmod(number, 4) for number in range(count)]
    return [
        f"20{20 + day // 336:02d}.{day // 28 % 12 + 1:02d}.{day % 28 + 1:02d}-0{hour}27-rolling" for day, hour in days
    ]


def fleet_settings(sites: int, *, seed: str = "auto") -> Settings:
    """Return settings with so many sites of each cloud."""
    names = [f"site-{number:02d}" for number in range(sites)]
    proxmox = {
        name: ProxmoxSite.model_validate(
            {"host": name, "node": "pve1", "token_id": "a@pve!b", "token_env": "PVE_TOKEN", "seed": seed}
        )
        for name in names
    }
    hetzner = {
        name: HetznerSite.model_validate({"token_env": f"TOKEN_{name[-2:]}", "seed": seed, "canary": name == names[0]})
        for name in names
    }
    return Settings(sites=Sites(proxmox=proxmox, hetzner=hetzner))


def make_grids(root: RuntimeRoot, settings: Settings, versions: list[str]) -> dg.DagsterInstance:
    """Return an instance where every version is published, and seeded at every site but the newest one.

    Rows are copied in the database: one event at a time, the 80,000 of large grids would take a quarter of an hour.
    They are dated a long time ago, so that nothing of them counts for a daily cap.
    """
    save_settings(root, settings, heading="benchmark")
    instance = open_instance(root)
    add_sites(instance, settings)
    instance.add_dynamic_partitions(str(VERSIONS.name), versions)
    _copy(instance, dg.AssetMaterialization(CONTRACT, partition=_ANY, tags={"dagster/data_version": DIGEST}), versions)
    _pass(instance, versions[-1])
    for cloud in CLOUDS:
        said = {"record_digest": DIGEST, "outcome": "created"}
        cells = (str(cloud.seed(site, version)) for site in cloud.sites(settings) for version in versions[:-1])
        _copy(instance, dg.AssetMaterialization(cloud.asset, partition=_ANY, metadata=said), cells)
    StateStore(root).commit(
        BUILD_STATE, run_id="benchmark", outputs={"record_version": versions[-1], "record_digest": DIGEST}
    )
    return instance


def _copy(instance: dg.DagsterInstance, event: dg.AssetMaterialization, partitions: Iterable[str]) -> None:
    """Report an event once, and copy it to each of these partitions."""
    instance.report_runless_asset_event(event)
    (first,) = instance.fetch_materializations(event.asset_key, limit=1).records
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError("the grids are made in an instance on SQLite")
    rows = [
        {"id": first.storage_id, "former": f'"{_ANY}"', "quoted": f'"{key}"', "partition": str(key)}
        for key in partitions
    ]
    with storage.index_connection() as connection:
        connection.execute(_INSERT, rows)
        connection.execute(text("DELETE FROM event_logs WHERE id = :id"), {"id": first.storage_id})


def _pass(instance: dg.DagsterInstance, version: str) -> None:
    """Have the blocking check of a version's contract pass."""
    (latest,) = instance.fetch_materializations(
        dg.AssetRecordsFilter(CONTRACT, asset_partitions=[version]), limit=1
    ).records
    looked_at = AssetCheckEvaluationTargetMaterializationData(
        storage_id=latest.storage_id, run_id=latest.run_id, timestamp=latest.timestamp
    )
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=CONTRACT,
            check_name=READ_BACK,
            passed=True,
            blocking=True,
            partition=version,
            target_materialization_data=looked_at,
        )
    )
