"""What `hyops apply` hands over to one run in private: commands, names of variables, paths, and where to publish.

A command of the operator's stands in place of a built-in step, or beside one. It is a line for `bash -c`, run in its
directory with HybridOps' variables (`HYOPS_VYOS_*`), the variables that `required_env` names, and nothing else of
ours. A line is no secret, but it has power: it reaches its run as a private document, never by run configuration.

What belongs here: what may be handed over, and for which run. How it reaches the run, and why the run may believe it,
is the private room's (`resources/handed_over.py`).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.names import MOST_SECONDS, Words
from hyops_assets.contract.references import StateRef

CommandLine = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]*$", strip_whitespace=True, max_length=8192)
]
"""One line; empty where the built-in step serves."""


class BuildCommands(Frozen):
    """The commands of a build."""

    build_command: CommandLine = Field(default="", description="makes the disk in place of build.method")
    build_workdir: Words = Field(default="", description="where it runs")
    smoke_verify_command: CommandLine = Field(default="", description="examines the qcow2 before our own gates do")
    smoke_verify_workdir: Words = Field(default="", description="where it runs")
    smoke_verify_required: bool = Field(default=True, description="whether its failure is a refusal or a warning")
    publish_command: CommandLine = Field(default="", description="publishes each object, and prints its URL")
    publish_workdir: Words = Field(default="", description="where it runs")

    @model_validator(mode="after")
    def _directories_have_commands(self) -> Self:
        for word in ("build", "smoke_verify", "publish"):
            if getattr(self, f"{word}_workdir") and not getattr(self, f"{word}_command"):
                message = f"{word}_workdir is set without {word}_command"
                raise ValueError(message)
        return self


class SeedCommand(Frozen):
    """The command of a seed. It counts only where no `record_state_ref` is given."""

    seed_command: CommandLine = Field(default="", description="seeds the record in place of our own way")
    seed_timeout_s: int = Field(
        default=7200, ge=60, le=MOST_SECONDS, description="seconds until the command is stopped"
    )


class HandedOver(BuildCommands, SeedCommand):
    """Inputs of a module that run something or name a place on this host.

    Names are the modules' own; an empty one says nothing.
    """

    required_env: tuple[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)], ...
    ] = Field(default=(), description="variables of the host that the commands get besides HYOPS_VYOS_*")
    source_iso_url: Words = Field(default="", description="where the ISO is, where that is no public https URL")
    record_local_path: Words = Field(default="", description="a disk that was built elsewhere, on this host")
    repo_state_ref: Words = Field(default="", description="state of the object repository")
    wrapper_base_url: Words = Field(default="", description="of this host: a qcow2 may be wrapped and served here")
    wrapper_port: int = Field(default=18080, ge=1, le=65535, description="that it is served on")

    @field_validator("repo_state_ref")
    @classmethod
    def _reference(cls, value: str) -> str:
        if value:
            try:
                StateRef.parse(value)
            except Refused as error:
                raise ValueError(error.message) from error
        return value

    @property
    def says_something(self) -> bool:
        """Whether a run needs it: names of variables count with a command only."""
        return self.model_copy(update={"required_env": ()}) != HandedOver()

    def but(self, **changes: str) -> Self:
        """Return it with other values; they are validated."""
        return self.model_validate(self.model_dump() | changes)


class Errand(Frozen):
    """The one run, or its repetition, that something is handed over to: a job for one partition."""

    job: str
    partition: str


class HandedOverDocument(Frozen):
    """What is written: the inputs, bound to the run that they were meant for."""

    schema_: Literal["hyops.handed-over/v1"] = Field(default="hyops.handed-over/v1", alias="schema")
    errand: Errand
    inputs: HandedOver
