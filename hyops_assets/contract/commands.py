"""Commands of the operator's among a module's inputs: in place of a built-in step, or beside one.

Each is a line for `bash -c`, run in its directory with HybridOps' variables (`HYOPS_VYOS_*`), the variables that
`required_env` names, and nothing else of ours. A line is no secret, but it has power: it reaches its run as a private
document, never by the run's configuration (`handed_over.py`).
"""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import MOST_SECONDS, Words

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
