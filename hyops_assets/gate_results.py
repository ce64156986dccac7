"""The gates' results: what passed, for which bytes. A gate that passed for these bytes need not run again.

What belongs here: keeping and finding results. What a gate does stands in `checks/`.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import JsonValue

from hyops_assets.contract.documents import CandidateRecord
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import GateResult
from hyops_assets.image.inspection.questions import QUESTIONS
from resources.artifacts.store import ArtifactStore

GATES_VERSION = "2"
"""Raise it when a gate looks at more than before: results of the old version are then not adopted."""


REQUIRED = (*QUESTIONS, "boots_bios", "boots_uefi", "variants_decode_to_one_disk")
"""Every gate of a record, by the name of its check."""


class GateNotPassed(Refused):
    """A record may not be published: a gate did not pass for its bytes."""


def passed_before(store: ArtifactStore, name: str, subject_sha256: str) -> GateResult | None:
    """Return the pass that a gate kept for exactly these bytes, marked as adopted; None if there is none."""
    held = store.find_document(f"gates/{name}", _key(subject_sha256), GateResult)
    if held is None or not held.passed:
        return None
    return held.model_copy(update={"detail": held.detail | {"adopted": True}})


def examined(
    store: ArtifactStore, name: str, subject_sha256: str, found: tuple[bool, dict[str, JsonValue]]
) -> GateResult:
    """Return the result of a gate that looked at these bytes: whether they passed, and what it saw.

    Only a pass is kept: what failed is examined again on every run.
    """
    passed, detail = found
    result = GateResult(
        name=name,
        passed=passed,
        subject_sha256=subject_sha256,
        detail=detail | {"examined_at": datetime.now(UTC).isoformat(timespec="seconds")},
    )
    if passed:
        store.write_document(f"gates/{name}", _key(subject_sha256), result)
    return result


def gate(
    store: ArtifactStore, name: str, subject_sha256: str, examine: Callable[[], tuple[bool, dict[str, JsonValue]]]
) -> GateResult:
    """Return a gate's result for exactly these bytes: the stored one if it passed, else examine them now."""
    return passed_before(store, name, subject_sha256) or examined(store, name, subject_sha256, examine())


def _key(subject_sha256: str) -> str:
    return f"{subject_sha256}.{GATES_VERSION}"


def passed_gates(store: ArtifactStore, candidate: CandidateRecord) -> list[GateResult]:
    """Return every gate's stored pass for the bytes of this record, for its evidence.

    Blocking checks keep a run from going on, but nothing keeps anyone from materializing the contract alone.

    Raises:
        GateNotPassed: a gate failed for these bytes, or did not run; each is named.
    """
    subjects = {variant.sha256 for variant in candidate.record.variants.values()}
    results = store.list_documents("gates", {_key(subject) for subject in subjects}, GateResult)
    missing = [name for name in REQUIRED if name not in {result.name for result in results if result.passed}]
    if missing:
        raise GateNotPassed(
            f"{candidate.record.version} did not pass: {', '.join(missing)}",
            hint="run the job build_record for this version: it runs every gate, then publishes",
        )
    return results
