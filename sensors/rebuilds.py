"""Rebuilds by themselves: the newest record is built again, as a revision, when what it is made with changes."""

import dagster as dg

from hyops_assets.assets.records import recipe_of
from hyops_assets.contract.documents import BuiltRecord
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.overlay.lock import read_lock
from hyops_assets.jobs import build_record
from hyops_assets.seeds.partitions import VERSIONS
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.error_border import bordered
from resources.repository.base import ObjectRepository
from resources.repository.revisions import next_free_revision
from resources.states.current_record import built_version
from resources.states.store import StateStore

_RUN_KEY_TAG = "dagster/run_key"
INTERVAL_SECONDS = 3600


def recipe_changes(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that compares the recipe of the record that the build slot names with today's.

    It runs only where `build.rebuild_when_recipe_changes` says so. One recipe is asked for once (`run_key`), whatever
    becomes of its run.
    """

    @dg.sensor(
        name="recipe_changes",
        job=build_record,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=(
            dg.DefaultSensorStatus.RUNNING
            if settings.build.rebuild_when_recipe_changes
            else dg.DefaultSensorStatus.STOPPED
        ),
        description="Builds the newest record again, as a revision, when helper, builder, lock or packages change.",
    )
    @bordered
    def sensor(
        context: dg.SensorEvaluationContext,
        settings: dg.ResourceParam[Settings],
        store: dg.ResourceParam[ArtifactStore],
        repository: dg.ResourceParam[ObjectRepository],
        states: dg.ResourceParam[StateStore],
    ) -> dg.SensorResult:
        version = built_version(states)
        held = store.find_document("qcow2_record", version, BuiltRecord) if version else None
        if version is None or held is None or held.iso is None:
            return dg.SensorResult(skip_reason="the build slot names no record that was built here")
        lock = read_lock(settings.build.package_lock) if settings.build.package_lock else None
        recipe = recipe_of(held.iso, settings, lock)
        former = held.build.get("recipe")
        reason = recipe.differs_from(former if isinstance(former, dict) else {})
        if not reason:
            return dg.SensorResult(skip_reason=f"{version} was built by today's recipe")
        parsed = RecordVersion.parse(version)
        revision = str(next_free_revision(repository, settings.build.key_of(parsed.release), parsed))
        run_key = f"{revision} {recipe.digest}"
        # Dagster makes one run of a key; the log says what happens.
        if asked := context.instance.get_runs(dg.RunsFilter(tags={_RUN_KEY_TAG: run_key}), limit=1):
            return dg.SensorResult(skip_reason=f"{revision} was requested before: run {asked[0].run_id}; {reason}")
        context.log.info("%s is rebuilt as %s: %s", version, revision, reason)
        return dg.SensorResult(
            dynamic_partitions_requests=[VERSIONS.build_add_request([revision])],
            run_requests=[
                dg.RunRequest(
                    run_key=run_key,
                    partition_key=revision,
                    run_config={"ops": {"qcow2_record": {"config": {"rebuild_reason": reason}}}},
                )
            ],
        )

    return sensor
