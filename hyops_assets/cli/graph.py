"""Running the graph from a shell: the same jobs, on the same instance, as the UI runs."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import dagster as dg

from hyops_assets.assets.run_liveness import RunProcess, by_shell
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import NEXT, HyopsError, Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.handed_over import Errand, HandedOver
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.run_config_types import is_public_https
from hyops_assets.dagster_gaps import execute_here
from hyops_assets.definitions import build_definitions
from hyops_assets.seeds.partitions import VERSIONS, Cloud, add_sites, add_version
from hyops_assets.settings.pipeline import NoSuchSite
from resources.artifacts.store import ArtifactStore
from resources.handed_over import HANDED_OVER_TAG, HandedOverRoom
from resources.repository.by_state import settings_of_run
from resources.settings import load_settings

Said = Mapping[str, object]
"""The metadata of one materialization, by name."""

Judged = tuple[bool, str]
"""Whether a check passed, and its description."""

_OWN_WORDS = ("failure", "found")
"""Metadata of a check that say in words what it found."""
_FOR_PROGRAMS = ("subject_sha256", "examined_at")


class RunFailed(HyopsError):
    """A run of the graph failed; the message names the step or the check, and why. `ran` is how far it came."""

    def __init__(self, message: str, *, hint: str, ran: "Ran") -> None:
        super().__init__(message, hint=hint)
        self.ran = ran


class RunCancelled(KeyboardInterrupt):
    """The person at the shell ended the run; Dagster has noted it as ended. `ran` is how far it came."""

    def __init__(self, ran: "Ran") -> None:
        super().__init__()
        self.ran = ran


def prepare_partitions(instance: dg.DagsterInstance, root: RuntimeRoot) -> None:
    """Make the configured sites partitions, so that the UI shows their grids."""
    add_sites(instance, load_settings(root))


@dataclass(frozen=True)
class Ran:
    """A run that ended: its id, what each asset said that was materialized, and what each check found."""

    run_id: str
    metadata: Mapping[str, Said]
    checks: Mapping[str, Judged]


class Graph:
    """The graph of one environment, on its Dagster instance.

    Args:
        root: the environment's runtime root.
        instance: its Dagster instance.
        overrides: resources by name, in place of the real ones.
        tags: what every run carries besides the process that executes it (`hyops_assets/assets/run_tags.py`).
        handed_over: what every run is handed over in private: commands, paths, and where to publish.
    """

    def __init__(
        self,
        root: RuntimeRoot,
        instance: dg.DagsterInstance,
        *,
        overrides: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        handed_over: HandedOver | None = None,
    ) -> None:
        self.root = root
        self._handed_over = handed_over or HandedOver()
        self._tags = dict(tags or {})
        self.instance = instance
        # Read here too: a state that names no repository is refused before a run is made for it.
        self.settings = settings_of_run(root, self._handed_over.repo_state_ref)
        self._definitions = build_definitions(root, self.settings, overrides=overrides)
        add_sites(instance, self.settings)

    def build(
        self,
        version: str,
        *,
        source_iso_url: str = "",
        rebuild_if_exists: bool = False,
        rebuild_reason: str = "",
    ) -> Ran:
        """Build and publish one record version, of an ISO at a path or URL where one is named.

        Raises:
            RunFailed: a step failed or a gate refused; nothing half-published is left.
        """
        add_version(self.instance, version)
        public, private = _iso_source(source_iso_url)
        made = {"rebuild_if_exists": rebuild_if_exists, "rebuild_reason": rebuild_reason}
        config = {"ops": {"vyos_iso": {"config": public}, "qcow2_record": {"config": made}}}
        return self._run("build_record", version, config, private)

    def adopt(self, version: str, *, url: str = "", path: str = "", sha256: str = "") -> Ran:
        """Publish a disk that was built elsewhere, at a URL or a path of this host, as a record version.

        Raises:
            RunFailed: it is not the disk that was named, or a gate refused it.
        """
        add_version(self.instance, version)
        config = {"ops": {"qcow2_record": {"config": {"record_url": url, "record_sha256": sha256}}}}
        return self._run("adopt_record", version, config, {"record_local_path": path} if path else {})

    def register(self, version: str, registration: Mapping[str, object]) -> Ran:
        """Take in a record that others published, under its own URLs.

        Args:
            version: of the record.
            registration: the asset's `Registration`, by field.

        Raises:
            RunFailed: what is published there is not the record that is claimed.
        """
        add_version(self.instance, version)
        public, private = _iso_source(str(registration.get("source_iso_url", "")))
        config = {"ops": {"published_contract": {"config": {**registration, "source_iso_url": "", **public}}}}
        return self._run("register_record", version, config, private)

    def seed(self, cloud: Cloud, site: str, version: str, asked: Mapping[str, object] | None = None) -> Ran:
        """Seed one published version at one site of a cloud; `asked` is its options' model, by field.

        Raises:
            NoSuchSite: it is not configured.
            RunFailed: the seed failed; a later run resumes it.
        """
        if site not in cloud.sites(self.settings):
            raise NoSuchSite(cloud.name, site, cloud.sites(self.settings))
        self._have_partition(version)
        asset = cloud.spec.asset
        return self._run(f"seed_{asset}", cloud.seed(site, version), _op(asset, asked))

    def standing(self, cloud: Cloud, site: str, version: str) -> str:
        """Return what a seed left or found at a site, for people: `hetzner/main: snapshot 123`."""
        store, name = ArtifactStore(self.root.artifacts), str(cloud.seed(site, version))
        held = store.find_document(cloud.asset.to_user_string(), name, SeededAt)
        return f"{cloud.name}/{site}: {f'{cloud.spec.thing} {held.ref}' if held else 'nothing'}"

    def _have_partition(self, version: str) -> None:
        """Make a version that is seeded a partition: an environment that was restored may have no history in Dagster.

        Raises:
            Refused: neither the history nor the store knows the version.
        """
        if self.instance.has_dynamic_partition(str(VERSIONS.name), version):
            return
        if ArtifactStore(self.root.artifacts).find_document("published_contract", version, Contract) is None:
            raise Refused(
                f"no contract of {version} is known here",
                hint="build it or take it in first: hyops apply --module core/shared/vyos-image-build",
            )
        add_version(self.instance, version)

    def _run(
        self,
        job: str,
        partition_key: str,
        config: Mapping[str, object],
        private: Mapping[str, str] = MappingProxyType({}),
    ) -> Ran:
        run_id = str(uuid.uuid4())
        handed_over = self._hand_over(Errand(job=job, partition=str(partition_key)), private)
        result = execute_here(
            self._definitions.resolve_job_def(job),
            self.instance,
            run_id=run_id,
            partition_key=partition_key,
            # The shell shows its own lines; the event log in the UI has everything.
            run_config={
                **config,
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            tags=RunProcess.this().tag(run_id) | by_shell(run_id) | self._tags | handed_over,
        )
        ran = Ran(result.run_id, _metadata(result), _judged(result))
        if _interrupted(result):
            raise RunCancelled(ran)
        if not result.success:
            why, hint = apart(_why(result))
            raise RunFailed(
                f"run {result.run_id} of {job} for {partition_key} failed: {why}",
                hint=f"{hint or 'mend the cause, and repeat'}; the run's log: hyops dev",
                ran=ran,
            )
        return ran

    def _hand_over(self, errand: Errand, private: Mapping[str, str]) -> dict[str, str]:
        """Leave what has power in the private room, and return the tag by which the run finds it; none for nothing."""
        inputs = self._handed_over.but(**private)
        return {HANDED_OVER_TAG: HandedOverRoom(self.root).write(errand, inputs)} if inputs.says_something else {}


def _iso_source(where: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return where an ISO is: as a run's configuration may say it, or as only a private document may."""
    named = {"source_iso_url": where} if where else {}
    return (named, {}) if is_public_https(where) else ({}, named)


def _op(name: str, config: Mapping[str, object] | None) -> dict[str, object]:
    return {"ops": {name: {"config": dict(config)}}} if config else {}


def _interrupted(result: dg.JobExecutionResult) -> bool:
    """Tell whether the run ended because this shell was interrupted: Dagster turns that into a failed step."""
    failures = (event.step_failure_data.error for event in result.all_events if event.is_step_failure)
    return any(error is not None and error.cls_name == "DagsterExecutionInterruptedError" for error in failures)


def _why(result: dg.JobExecutionResult) -> str:
    """Return the first cause of a failed run: a refused check, or the error that a step raised."""
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed and evaluation.blocking:
            details = {name: value.value for name, value in evaluation.metadata.items()}
            where = evaluation.asset_key.to_user_string()
            return f"check {evaluation.check_name} on {where} did not pass: {as_sentence(details)}"
    for event in result.all_events:
        if event.is_step_failure:
            where, error = f"{event.step_key}: ", event.step_failure_data.error
        elif event.event_type is dg.DagsterEventType.PIPELINE_FAILURE:
            where, error = "before its first step: ", event.job_failure_data.error
        else:
            continue
        if error is not None:
            # Dagster wraps what was raised; deeper causes are what our own errors were made from.
            error = error.cause or error
            # The class stands with its module's path before the text; its name alone is enough for a reader.
            return f"{where}{re.sub(r'^(?:[a-z_0-9]+[.])+', '', error.message.strip())}"
    return "the event log says why"


def apart(why: str) -> tuple[str, str]:
    """Return a cause and its own next step, which is empty where it says none: two of them would contradict."""
    cause, _, hint = why.rpartition(NEXT)
    return (cause, hint) if cause else (why, "")


def as_sentence(details: Mapping[str, object]) -> str:
    """Return what a check found, for people: its own words where it has them, else each fact by its name."""
    for name in _OWN_WORDS:
        if isinstance(found := details.get(name), str) and found:
            return found
    facts = {name: fact for name, fact in details.items() if name not in _FOR_PROGRAMS}
    return "; ".join(f"{name} {fact}" for name, fact in facts.items()) or "it gives no reason"


def _judged(result: dg.JobExecutionResult) -> dict[str, Judged]:
    return {one.check_name: (one.passed, one.description or "") for one in result.get_asset_check_evaluations()}


def _metadata(result: dg.JobExecutionResult) -> dict[str, dict[str, object]]:
    return {
        event.materialization.asset_key.to_user_string(): {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }
