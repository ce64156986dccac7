"""The sensor of seeds, tick by tick, over the real definitions; and what happens in the graph between two ticks."""

import datetime as dt
import functools
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    # A run writes it by itself; an event that is reported without a run must say it.
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.events import DagsterEvent

from hyops_assets.assets.published_contract import published_contract
from hyops_assets.checks.published import anonymous_read_back
from hyops_assets.cli.graph import Graph, RunFailed
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import BUILD_STATE
from hyops_assets.contract.state import Outputs
from hyops_assets.definitions import build_definitions
from hyops_assets.seeds.partitions import CLOUDS, Cloud, add_version
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite, Sites
from resources.settings import load_settings, save_settings
from resources.states.store import StateStore
from sensors.seeds import seed_automation
from tests.clouds import HETZNER, hetzner_seed, proxmox_seed

FIRST = "2026.03.03-0027-rolling"
SECOND = "2026.03.04-0027-rolling"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

FIRST_RESULTS = str(UUID(int=1))
"""The run of the first result of each check and partition."""

Asked = dict[str, set[str | None]]


def proxmox_site(seed: str, name: str = "pve", *, canary: bool = False) -> ProxmoxSite:
    return ProxmoxSite.model_validate(
        {
            "host": name,
            "node": "pve1",
            "token_id": "a@pve!b",
            "token_env": "PVE_TOKEN",
            "seed": seed,
            "canary": canary,
        }
    )


def hetzner_site(seed: str, name: str, *, canary: bool = False, paid_seeds_a_day: int = 5) -> HetznerSite:
    return HetznerSite.model_validate(
        {"token_env": f"TOKEN_{name.upper()}", "seed": seed, "canary": canary, "paid_seeds_a_day": paid_seeds_a_day}
    )


SETTINGS = Settings(
    sites=Sites(
        proxmox={"auto": proxmox_site("auto"), "by-hand": proxmox_site("manual", "other")},
        hetzner={"auto": hetzner_site("auto", "a"), "by-hand": hetzner_site("manual", "b")},
    )
)


def with_hetzner(**sites: HetznerSite) -> Settings:
    """Settings with these Hetzner sites and no others."""
    return Settings(sites=Sites(hetzner={name.replace("_", "-"): site for name, site in sites.items()}))


def digest(version: str) -> str:
    return sha256(version.encode()).hexdigest()


class Daemon:
    """Evaluates the sensor and applies its result in the daemon's order (`dagster._daemon.sensor`).

    It makes no runs: a story says itself what comes of a request.
    """

    def __init__(self, root: RuntimeRoot, instance: dg.DagsterInstance, settings: Settings = SETTINGS) -> None:
        self.root = root
        self.instance = instance
        self._cursor: str | None = None
        self._late = dt.timedelta()
        self._judged: Counter[tuple[dg.AssetCheckKey, str]] = Counter()
        self.restart()
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        save_settings(self.root, settings, heading="test")
        self._definitions = build_definitions(self.root, settings)

    def restart(self) -> None:
        """Begin with a new process of the code location; the cursor is the instance's, and stays."""
        self._sensor = seed_automation(clock=lambda: dt.datetime.now(dt.UTC) + self._late)

    def wait(self, **span: float) -> None:
        """Let time go by, as the next ticks see it."""
        self._late += dt.timedelta(**span)

    def forget(self) -> None:
        """Lose the sensor's cursor, as a new instance does."""
        self._cursor = None

    def evaluate(self, *, killed: bool = False) -> dg.SensorResult:
        """Tick once; a daemon that is killed right after it applies nothing of the result."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self._cursor,
            definitions=self._definitions,
            resources={"settings": load_settings(self.root), "states": StateStore(self.root)},
        )
        result = self._sensor(context)
        assert isinstance(result, dg.SensorResult)
        if killed:
            return result
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self._cursor = result.cursor
        return result

    def tick(self) -> Asked:
        """Tick once and return what was requested, by asset."""
        asked: Asked = {}
        for request in self.evaluate().run_requests or []:
            asset = {"seed_proxmox_template": "proxmox_template", "seed_hetzner_image": "hetzner_image"}
            asked.setdefault(asset[str(request.job_name)], set()).add(request.partition_key)
        return asked

    def publish(
        self, version: str = FIRST, *, check: bool | None = True, says: str | None = None, named: bool = True
    ) -> None:
        """The contract of a version is published, and its check passes, fails, or (None) does not run yet.

        `says` is another digest than the version's own; `named` tells whether the build slot names it afterwards.
        """

        add_version(self.instance, version)
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                published_contract.key, partition=version, tags={"dagster/data_version": says or digest(version)}
            )
        )
        if check is not None:
            self.check(version, passed=check)
        if named:
            outputs: Outputs = {"record_version": version, "record_digest": says or digest(version)}
            StateStore(self.root).commit(BUILD_STATE, run_id="test", outputs=outputs)

    def check(self, version: str = FIRST, *, passed: bool) -> None:
        """The read-back looked at the latest contract of a version: a result counts for the bytes it looked at."""
        (key,) = anonymous_read_back.check_keys
        self._judge(key, version, passed=passed)

    def _judge(self, key: dg.AssetCheckKey, partition: str, *, passed: bool) -> None:
        (latest,) = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key.asset_key, asset_partitions=[partition]), limit=1
        ).records
        evaluation = dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=passed,
            blocking=key.asset_key == published_contract.key,
            partition=partition,
            target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                storage_id=latest.storage_id, run_id=latest.run_id, timestamp=latest.timestamp
            ),
        )
        # A partition's result is kept once per run, and each run has a database of its own: the first results of all
        # partitions share one, the second ones another.
        self._judged[key, partition] += 1
        run_id = str(UUID(int=self._judged[key, partition]))
        event = DagsterEvent(dg.DagsterEventType.ASSET_CHECK_EVALUATION.value, "check", event_specific_data=evaluation)
        self.instance.report_dagster_event(event, run_id=run_id)

    def seed(
        self,
        cloud: Cloud,
        site: str,
        version: str = FIRST,
        *,
        says: str | None = None,
        outcome: str = "created",
        lineage: bool | None = True,
    ) -> None:
        """One cell was seeded; its lineage check says this, or (None) did not run."""
        key = str(cloud.seed(site, version))
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                cloud.asset, partition=key, metadata={"record_digest": says or digest(version), "outcome": outcome}
            )
        )
        if lineage is not None:
            self._judge(dg.AssetCheckKey(cloud.asset, "lineage_holds"), key, passed=lineage)

    def seeded(self, version: str = FIRST) -> None:
        """Both seeds of a version ended well."""
        for cloud in CLOUDS:
            self.seed(cloud, "auto", version)

    def fail_a_seed(self, version: str = FIRST, site: str = "auto") -> None:
        """A Hetzner seed fails, as the run log keeps it: what is counted is runs, whatever failed in them."""
        self.instance.report_run_failed(self.start(HETZNER, site, version))

    def run_a_seed_that_fails(self, version: str = FIRST, site: str = "auto") -> None:
        """Run the Hetzner seed for real: it fails, because no contract document is there."""
        with pytest.raises(RunFailed, match="published_contract"):
            Graph(self.root, self.instance).seed(HETZNER, site, version)

    def look(self, cloud: Cloud) -> dg.AssetCheckEvaluation:
        """Run the standing checks as the UI does, and return what they say of a cloud."""
        ran = self._definitions.resolve_job_def("look_for_missing_seeds").execute_in_process(
            instance=self.instance, run_config=QUIET
        )
        (found,) = [one for one in ran.get_asset_check_evaluations() if one.asset_key == cloud.asset]
        return found

    def start(self, cloud: Cloud, site: str, version: str = FIRST) -> dg.DagsterRun:
        """A run of one cell is at work."""
        job = self._definitions.resolve_job_def("seed_hetzner_image" if cloud is HETZNER else "seed_proxmox_template")
        key = cloud.seed(site, version)
        tags = {"dagster/partition": str(key), **cloud.seeds.get_tags_for_partition_key(key)}
        return self.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)


@functools.cache
def _fresh_storage() -> dict[str, bytes]:
    """The files of an instance that has done nothing: to make their tables takes longer than most stories."""
    with tempfile.TemporaryDirectory() as made:
        with dg.DagsterInstance.local_temp(made) as instance:
            # Of events without a run, and of the first results.
            for run_id in ("", FIRST_RESULTS):
                instance.all_logs(run_id)
        files = [path for path in Path(made).rglob("*") if path.is_file()]
        return {str(path.relative_to(made)): path.read_bytes() for path in files}


@contextmanager
def daemon_in(directory: Path, settings: Settings = SETTINGS) -> Iterator[Daemon]:
    """Yield a daemon over an instance of its own that has not ticked yet."""
    for name, content in _fresh_storage().items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    with dg.DagsterInstance.local_temp(str(directory)) as instance:
        yield Daemon(RuntimeRoot(directory / "root"), instance, settings)


def everywhere(version: str = FIRST, *sites: str) -> Asked:
    """Both seeds of a version at the sites that seed by themselves."""
    return {
        "proxmox_template": {proxmox_seed("auto", version)},
        "hetzner_image": {hetzner_seed(site, version) for site in sites or ("auto",)},
    }
