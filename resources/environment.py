"""The environment that a run works in, as one resource: it alone knows the runtime root, and the others depend on it.

What belongs here: the settings as this run has them, with what `hyops apply` handed over to it in their place. They
are read at every run, so that a changed `pipeline.yml` needs no reload.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.build import Command
from hyops_assets.settings.pipeline import Settings
from resources.environment_id import ensure_environment_id
from resources.error_border import bordered
from resources.handed_over import handed_over_to
from resources.repository.by_state import settings_of_run
from resources.settings import make_private
from resources.without_config import without_config

NAME = "environment"


class Environment:
    """One environment, as one run sees it.

    Args:
        root: its runtime root.
        run: the run; None for a sensor's or schedule's tick.
    """

    def __init__(self, root: RuntimeRoot, run: dg.DagsterRun | None = None) -> None:
        self.root = root
        self.run = run

    @cached_property
    def handed_over(self) -> HandedOver:
        """What `hyops apply` handed over to the run; all empty where it did not.

        Raises:
            NotHandedOver: the run names inputs that were not handed over to it.
        """
        return handed_over_to(self.root, self.run)

    @cached_property
    def settings(self) -> Settings:
        """The settings, with the repository and the build command that were handed over.

        Raises:
            SettingsError: `pipeline.yml` does not validate.
            NotHandedOver: the run names inputs that were not handed over to it.
            UnresolvedState, BadRepository: the state does not name a repository.
        """
        settings = settings_of_run(self.root, self.handed_over.repo_state_ref)
        if not self.handed_over.build_command:
            return settings
        build = settings.build.model_copy(update={"method": "command", "command": self._build_command(settings)})
        return settings.model_copy(update={"build": build})

    @cached_property
    def settings_to_write(self) -> Settings:
        """The settings of a run that writes somewhere: the environment gets an id if it has none."""
        return self.settings.of_environment(ensure_environment_id(self.root))

    def _build_command(self, settings: Settings) -> Command:
        handed_over, configured = self.handed_over, settings.build.command
        return Command(
            build_command=handed_over.build_command,
            build_workdir=Path(handed_over.build_workdir) if handed_over.build_workdir else self._workdir(),
            environment=list(handed_over.required_env),
            # Whether its disk is complete, and whether it may emulate, is for the environment's owner to say.
            complete=configured.complete if configured else False,
            allow_tcg=configured.allow_tcg if configured else False,
            timeout_seconds=configured.timeout_seconds if configured else 7200,
        )

    def _workdir(self) -> Path:
        """Return where a build command runs that names no directory: it exists once anything was built."""
        make_private(self.root.artifacts, below=self.root.path)
        return self.root.artifacts


def environment(root: RuntimeRoot) -> dg.ResourceDefinition:
    """Return the resource of an environment; it reads nothing until it is asked."""
    return without_config(lambda context: Environment(root, context.run), "The environment that this run works in.")


def of_environment(made_by: Callable[[Environment], object], description: str) -> dg.ResourceDefinition:
    """Return a resource that is made of the environment, and of nothing in a run's configuration.

    Args:
        made_by: makes it for a run; a generator function closes it afterwards.
        description: shown in the UI.
    """

    def made(context: dg.InitResourceContext) -> object:
        return made_by(getattr(context.resources, NAME))

    def opened(context: dg.InitResourceContext) -> Iterator[Any]:
        yield from made_by(getattr(context.resources, NAME))  # type: ignore[misc]  # a generator function's result

    return dg.ResourceDefinition(
        resource_fn=bordered(opened if inspect.isgeneratorfunction(made_by) else made),
        config_schema={},
        required_resource_keys={NAME},
        description=description,
    )


def settings_resource() -> dg.ResourceDefinition:
    """Return the resource of the environment's settings. At each run it raises as `Environment.settings` says."""
    return of_environment(lambda environment: environment.settings_to_write, "pipeline.yml of this environment.")
