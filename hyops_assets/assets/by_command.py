"""`seed_command`: a line of the operator's seeds a record in place of our own way; what it says is looked up."""

import re
from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.assets.steps import Step
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import VariantFormat
from hyops_assets.image.operator_command import OperatorCommand, hyops_vyos, run_command
from resources.artifacts.store import ArtifactStore


class SeedByCommand(dg.Config):
    """The command that seeds in place of our own way, if any."""

    seed_command: str = Field(default="", description="a line for bash")
    seed_timeout_s: int = Field(default=7200, description="seconds until it is stopped")
    seed_env: list[str] = Field(default=[], description="variables that it gets besides HYOPS_VYOS_*")


class NothingSaid(HyopsError):
    """A seed command ended well and did not say what it made."""


def seeded_by(
    config: SeedByCommand,
    contract: Contract,
    format_: VariantFormat,
    site: str,
    answer: str,
    store: ArtifactStore,
    progress: Step,
) -> int:
    """Run the command and return the number that it prints as `<answer>=<number>`, the last one if there are more.

    Raises:
        NothingSaid: it printed none.
        CommandNotUsable, ProgramFailed: it could not be run, or failed.
    """
    record = contract.record
    told = {
        "ARTIFACT_KEY": record.key,
        "ARTIFACT_FORMAT": format_,
        "ARTIFACT_VERSION": record.version,
        "ARTIFACT_URL": contract.urls[format_],
        "ARTIFACT_SHA256": record.variants[format_].sha256,
        "IMAGE_VERSION": record.record_version.release,
        "SITE": site,
    }
    command = OperatorCommand(config.seed_command, None, config.seed_env, float(config.seed_timeout_s))
    with store.scratch("seed") as scratch:
        said = run_command(
            command,
            stage="seed command",
            told=hyops_vyos(told),
            scratch=Path(scratch),
            progress=progress,
        )
    found = re.findall(rf"(?:^|\s){answer}=([0-9]{{1,18}})(?=\s|$)", said.text, re.MULTILINE)
    if not found:
        raise NothingSaid(
            f"the seed command ended well and printed no {answer}=<id>", hint=f"have it print {answer}=<id> at its end"
        )
    return int(found[-1])
