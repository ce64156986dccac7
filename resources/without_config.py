"""Resources that take nothing from a run's configuration: what they are is decided where they are made."""

from collections.abc import Callable

import dagster as dg

from resources.error_border import bordered


def without_config(made_by: Callable[[dg.InitResourceContext], object], description: str) -> dg.ResourceDefinition:
    """Return a resource without one config field.

    Anyone who reaches the UI can write a run's configuration: a field for a root, a path or a command would be theirs
    to fill. Dagster's own `ConfigurableResource` makes a field of each attribute, which also takes the name of an
    environment variable (docs/decisions/0019).

    Args:
        made_by: makes the resource for a run; a generator function closes it afterwards.
        description: shown in the UI.
    """
    # An empty schema, not none: Dagster takes the latter for "anything".
    return dg.ResourceDefinition(resource_fn=bordered(made_by), config_schema={}, description=description)
