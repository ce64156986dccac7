"""What a module is given when it runs, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from hyops_assets.cli.check import Check
from hyops_assets.cli.environment import Place
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState, Outputs
from hyops_assets.settings.pipeline import Settings
from resources.states.store import StateStore


@dataclass(frozen=True)
class Work:
    """One run of a module: everything is resolved and validated, nothing was changed.

    Attributes:
        place: the environment.
        ref: the state slot that this run writes.
        inputs: validated; of the registry row's model.
        settings: `pipeline.yml`.
        resolved: the states that the inputs' references lead to, by the input's name; each is `ok`.
        run_id: `apply-<time>-<8 hex>`, also the name of the run record's directory.
        another_slot: a slot was asked for that is not the module's own; the own one must then stay as it is.
    """

    place: Place
    ref: StateRef
    inputs: ModuleInputs
    settings: Settings
    resolved: Mapping[str, ModuleState]
    run_id: str
    another_slot: bool = False

    @property
    def states(self) -> StateStore:
        """The environment's states."""
        return StateStore(self.place.root)


@dataclass(frozen=True)
class Intended:
    """A line of a plan.

    Attributes:
        what: the thing, such as `qcow2_record` or a URL.
        action: what would become of it: `adopt`, `build`, `publish`, `seed`, `write`, …
        detail: names, URLs, ids.
    """

    what: str
    action: str
    detail: str = ""


@dataclass(frozen=True)
class Done:
    """What applying a module came to.

    Attributes:
        driver: for the run record's `driver_result.json`; no secret.
        outputs: for the state, which the shell then commits; None where the graph commits it in its own run.
    """

    driver: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    outputs: Outputs | None = None


def latest(inputs: ModuleInputs, settings: Settings, asked: str | None) -> None:
    """Write `latest.json`, whatever the inputs."""


def always(instance: str) -> Callable[[ModuleInputs, Settings, str | None], str | None]:
    """Return the choice of one named instance, whatever the inputs."""
    return lambda inputs, settings, asked: instance


def never(work: Work) -> None:
    """Refuse nothing."""


def nothing_more(work: Work) -> list[Check]:
    """Check nothing beyond what every module's preflight does."""
    return []
