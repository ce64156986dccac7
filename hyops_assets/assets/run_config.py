"""What a run's configuration and tags may ask, checked once, before any step of the run begins.

What belongs here: how an asset's options become fields of its op, and where they are validated. None of them has power
(docs/decisions/0019); what has is handed over in private (`resources/handed_over.py`), and found here as well.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hyops_assets.assets.run_tags import require_sound_tags
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.wrong_values import wrong_values
from resources.environment import Environment, of_environment

Options = TypeVar("Options", bound=BaseModel)


class BadRunConfig(Refused):
    """A run's configuration asks for what may not be asked. Nothing ran."""


def fields_of(model: type[BaseModel]) -> dict[str, dg.Field]:
    """Return the config schema of an asset whose options are a model.

    Dagster's own `Config` would take `{"env": NAME}` for each text and number: the value of any variable of the host,
    secrets included, would stand in a record's evidence. These fields take plain values.
    """
    return {name: _field(field) for name, field in model.model_fields.items()}


@dataclass(frozen=True)
class RunOptions:
    """What was asked of one run.

    Attributes:
        handed_over: the inputs with power, as `hyops apply` handed them over; all empty where it did not.
        options: of each op that the run's configuration names, validated.
    """

    handed_over: HandedOver
    options: Mapping[type[BaseModel], BaseModel]

    def of(self, model: type[Options]) -> Options:
        """Return what was asked of the asset whose options are this model; its defaults where nothing was."""
        found = self.options.get(model)
        return found if isinstance(found, model) else model()


def asked(models: Mapping[str, type[BaseModel]]) -> dg.ResourceDefinition:
    """Return the resource that reads what is asked of a run; `models` are those of the ops that can be asked.

    A run's executor makes its resources before its first step, so nothing runs where at its beginning this raises:
        BadRunConfig: a value that may not be asked.
        BadReference, BadTag: a tag that names no run, no state and no instance.
        NotHandedOver: the run names inputs that were not handed over to it.
    """
    return of_environment(
        lambda environment: read_asked(environment, models),
        "What was asked of this run, and what hyops apply handed over to it in private.",
    )


def read_asked(environment: Environment, models: Mapping[str, type[BaseModel]]) -> RunOptions:
    """Return what was asked of an environment's run; nothing where there is none. Raises as `asked` says."""
    if environment.run is None:
        return RunOptions(HandedOver(), {})
    require_sound_tags(environment.run)
    return RunOptions(environment.handed_over, _options(environment.run.run_config, models))


def _options(run_config: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> dict[type[BaseModel], BaseModel]:
    ops: Mapping[str, Any] = run_config.get("ops") or {}
    found: dict[type[BaseModel], BaseModel] = {}
    for op, model in models.items():
        config = (ops.get(op) or {}).get("config") or {}
        try:
            found[model] = model.model_validate(config)
        except ValidationError as error:
            raise BadRunConfig(
                f"the run's configuration of {op}: {wrong_values(error, 'config')}",
                hint="correct it; commands, paths and names of variables are inputs of hyops apply",
                # Without the cause: it holds what was given, and the event log would keep it.
            ) from None
    return found


def _field(field: FieldInfo) -> dg.Field:
    type_ = _config_type(field.annotation)
    if field.is_required():
        return dg.Field(type_, description=field.description)
    default = field.get_default(call_default_factory=True)
    return dg.Field(type_, is_required=False, default_value=default, description=field.description)


def _config_type(annotation: Any) -> Any:
    """Return Dagster's plain type of a field: text, whole number, yes or no; one of them or none; texts by name."""
    if annotation in (str, int, bool):
        return annotation
    if get_origin(annotation) is dict:
        return dg.Map(str, str)
    if get_origin(annotation) is types.UnionType:
        (inner,) = (one for one in get_args(annotation) if one is not type(None))
        return dg.Noneable(_config_type(inner))
    message = f"no plain config type for {annotation!r}"
    raise TypeError(message)
