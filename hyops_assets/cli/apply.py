"""`hyops apply`: a module as a run of the graph, on the environment's Dagster instance."""

from pathlib import Path

from hyops_assets.cli import lab
from hyops_assets.cli.environment import Place
from hyops_assets.cli.graph import Graph, Ran
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.modules import load_inputs, references, resolve
from hyops_assets.cli.progress import shown
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.inputs import BuildInputs, ImageSeedInputs, ModuleInputs, TemplateSeedInputs
from hyops_assets.contract.references import DEFAULT_BUILD_INSTANCE, IMAGE_BUILD, StateRef
from hyops_assets.contract.settings import SettingsError, default_site
from hyops_assets.contract.version import RecordVersion
from resources.states.store import StateStore

_DEFAULT_INSTANCES = {IMAGE_BUILD: DEFAULT_BUILD_INSTANCE}


def apply_module(place: Place, module: str, path: Path | None, state_instance: str) -> None:
    """Apply a module and say what became of it.

    Raises:
        BadInputs: the inputs are wrong; nothing was started.
        UnresolvedState: a state reference does not resolve; nothing was started.
        RunFailed: the run failed.
    """
    ref = StateRef.parse(f"{module}#{state_instance}" if state_instance else module)
    default = _DEFAULT_INSTANCES.get(ref.module)
    if ref.instance not in (None, default):
        raise Refused(
            f"{ref.module} writes the state instance {default or 'latest'}, not {ref.instance}",
            hint="leave --state-instance out; sites choose the instance of a seed",
        )
    inputs = load_inputs(ref.module, path)
    states = StateStore(place.root)
    for reference in references(inputs):
        resolve(states, reference)
    lab.reach_lab(place.root)
    place.console.print(f"module={ref.module} status=running")
    with shown(place.console):
        ran = _run(Graph(place.root, open_instance(place.root)), states, inputs)
    place.console.print(f"module={ref.module} status=ok run_id={ran.run_id}")


def _run(graph: Graph, states: StateStore, inputs: ModuleInputs) -> Ran:
    if isinstance(inputs, BuildInputs):
        key = graph.settings.build.key_of(RecordVersion.parse(inputs.record_version).release)
        if inputs.record_key != key:
            raise Refused(
                f"record_key {inputs.record_key!r} is not this environment's key of {inputs.record_version}, {key!r}",
                hint="change build.record_key or build.stream_record_key in config/pipeline.yml, or the input",
            )
        if inputs.record_url or inputs.record_local_path:
            return graph.adopt(
                inputs.record_version,
                url=inputs.record_url,
                path=inputs.record_local_path,
                sha256=inputs.record_sha256,
            )
        return graph.build(inputs.record_version, source_iso_url=inputs.source_iso_url)
    if isinstance(inputs, TemplateSeedInputs):
        return graph.seed_proxmox(
            inputs.site or _default("proxmox", default_site(graph.settings.sites.proxmox)),
            _version(states, inputs.record_state_ref, inputs.record_key),
        )
    if isinstance(inputs, ImageSeedInputs):
        return graph.seed_hetzner(
            inputs.site or _default("hetzner", default_site(graph.settings.sites.hetzner)),
            _version(states, inputs.record_state_ref, inputs.record_key),
        )
    raise TypeError(f"no way to apply {type(inputs).__name__}")


def _version(states: StateStore, reference: str, key: str) -> str:
    """Return the record version that a state reference leads to: the reference decides, nothing else."""
    records = resolve(states, reference).outputs.get("records")
    entry = records.get(key) if isinstance(records, dict) else None
    if not isinstance(entry, dict):
        known = ", ".join(sorted(records)) if isinstance(records, dict) else "none"
        raise Refused(f"{reference} has no record {key!r} (it has: {known})", hint="set record_key to one of them")
    return str(entry["record_version"])


def _default(kind: str, site: str | None) -> str:
    if site is None:
        raise SettingsError(
            f"no {kind} site is configured", hint=f"add one to config/pipeline.yml under sites.{kind}.<name>"
        )
    return site
