"""What `hyops apply` hands over to one run in private: commands, names of variables, paths, and where to publish.

What belongs here: what may be handed over, and for which run. How it reaches the run, and why the run may believe it,
is the private room's (`resources/handed_over.py`).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.commands import BuildCommands, SeedCommand
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.names import Words
from hyops_assets.contract.references import StateRef


class HandedOver(BuildCommands, SeedCommand):
    """Inputs of a module that act by themselves. Names are the modules' own; an empty one says nothing."""

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
