"""`smoke_verify_command`: a line of the operator's examines the built qcow2, before our own gates do."""

import shutil
from pathlib import Path

from hyops_assets.contract.documents import BuiltRecord
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import GateResult
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.steps import Step
from hyops_assets.gate_results import GATES_VERSION
from hyops_assets.image.operator_command import OperatorCommand, hyops_vyos, run_command
from hyops_assets.image.programs import ProgramFailed
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.error_border import said_of

GATE = "smoke_verify_command"


class SmokeFailed(Refused):
    """The operator's own examination of a disk failed, and it is a gate."""


def smoke_verified(
    handed_over: HandedOver, built: BuiltRecord, settings: Settings, store: ArtifactStore, progress: Step
) -> str:
    """Run the command on a copy of the qcow2, every time, and return what came of it.

    Its pass stands beside those of our gates in the record's evidence.

    Raises:
        SmokeFailed: it failed, and is required.
        CommandNotUsable: it cannot be run at all.
    """
    if not handed_over.smoke_verify_command:
        return "none was given"
    command = OperatorCommand(
        handed_over.smoke_verify_command,
        Path(handed_over.smoke_verify_workdir) if handed_over.smoke_verify_workdir else None,
        list(handed_over.required_env),
    )
    with store.scratch("smoke") as scratch:
        file = scratch / built.qcow2.file_name
        # A copy: what a command does to its file reaches no store of ours.
        shutil.copyfile(store.blob(built.qcow2.sha256, progress=progress), file)
        variables = {
            "ARTIFACT_KEY": settings.build.key_of(built.release),
            "ARTIFACT_FORMAT": "qcow2",
            "ARTIFACT_VERSION": built.version,
            "ARTIFACT_LOCAL_PATH": str(file),
            "ARTIFACT_SHA256": built.qcow2.sha256,
            "ARTIFACT_URL": "",
            "IMAGE_VERSION": built.release,
        }
        try:
            run_command(
                command,
                stage="smoke verify command",
                variables=hyops_vyos(variables),
                scratch=scratch,
                progress=progress,
            )
        except ProgramFailed as error:
            if handed_over.smoke_verify_required:
                raise SmokeFailed(
                    f"smoke_verify_command refuses the disk of {built.version}: {said_of(error)}",
                    hint="mend what it found; or set smoke_verify_required to false to be warned only",
                ) from error
            return f"warning, not required: {said_of(error)}"
    passed = GateResult(
        name=GATE,
        passed=True,
        subject_sha256=built.qcow2.sha256,
        detail={"required": handed_over.smoke_verify_required},
    )
    store.write_document(f"gates/{GATE}", f"{built.qcow2.sha256}.{GATES_VERSION}", passed)
    return "passed"
