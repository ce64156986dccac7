"""`seed_command`: a line of the operator's seeds a record in place of our own way; what it says is looked up."""

import re
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.steps import Step
from hyops_assets.image.operator_command import OperatorCommand, hyops_vyos, run_command
from resources.artifacts.store import ArtifactStore


class NothingSaid(HyopsError):
    """A seed command ended well and did not say what it made."""


def seeded_by(
    handed_over: HandedOver,
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
        Refused: the record lacks the variant that the command is given.
        CommandNotUsable, ProgramFailed: it could not be run, or failed.
    """
    record = contract.record
    variables = {
        "ARTIFACT_KEY": record.key,
        "ARTIFACT_FORMAT": format_,
        "ARTIFACT_VERSION": record.version,
        "ARTIFACT_URL": contract.url_of(format_),
        "ARTIFACT_SHA256": record.variants[format_].sha256,
        "IMAGE_VERSION": record.record_version.release,
        "SITE": site,
    }
    command = OperatorCommand(
        handed_over.seed_command, None, list(handed_over.required_env), float(handed_over.seed_timeout_s)
    )
    with store.scratch("seed") as scratch:
        said = run_command(
            command,
            stage="seed command",
            variables=hyops_vyos(variables),
            scratch=Path(scratch),
            progress=progress,
        )
    found = re.findall(rf"(?:^|\s){answer}=([0-9]{{1,18}})(?=\s|$)", said.text, re.MULTILINE)
    if not found:
        raise NothingSaid(
            f"the seed command ended well and printed no {answer}=<id>", hint=f"have it print {answer}=<id> at its end"
        )
    return int(found[-1])
