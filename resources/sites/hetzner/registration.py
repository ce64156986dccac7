"""A snapshot that somebody made: whether it is what an operator says it is. Decides; reads nothing."""

from dataclasses import dataclass

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.register_inputs import ImageRegisterInputs
from hyops_assets.contract.state import found_lineage, standing_image_outputs
from resources.sites.base import Registered
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.report import ImageFacts


class NotThatImage(Refused):
    """A snapshot cannot be used, or is not the one that was claimed. Nothing was changed."""


@dataclass(frozen=True)
class FoundImage:
    """A snapshot that may become a state.

    Attributes:
        facts: as the project reported them.
        labels: which record it was seeded from; None where it does not say.
        version: of the record: its own word, else what was claimed; empty where unknown.
        warnings: what is not vouched for.
    """

    facts: ImageFacts
    labels: Labels | None
    version: str
    warnings: tuple[str, ...]


def require_image(
    facts: ImageFacts, claimed: ImageRegisterInputs, *, lab: bool, environment: str | None = None
) -> FoundImage:
    """Return what a snapshot is known to be, if it is the one that is claimed.

    Args:
        facts: the snapshot, read from its project.
        claimed: id, key, and what else the operator says of it.
        lab: whether the site is a lab's.
        environment: the id of the one that asks; None where it has none yet.

    Raises:
        NotThatImage: it is not available, its seed was not finished, or it contradicts a claim.
    """
    where = f"snapshot {facts.image_ref}"
    if facts.status != "available":
        raise NotThatImage(
            f"{where} ({facts.description!r}) is {facts.status}, not available",
            hint="wait until it is written, or name another",
        )
    labels = facts.labels
    if labels is None:
        unknown = f"{where} does not say which record it holds: its disk is not vouched for"
        return FoundImage(facts, None, claimed.image_version, (unknown,))
    if labels.state != "ready":
        raise NotThatImage(
            f"{where}: its seed was not finished (state {labels.state})",
            hint="apply core/hetzner/vyos-image-seed: it resumes",
        )
    if labels.lab and not lab:
        raise NotThatImage(f"{where} was seeded in a lab; this site is not one", hint="seed it here")
    said = (
        ("image_key", claimed.image_key, labels.key),
        ("image_version", claimed.image_version, labels.version),
    )
    wrong = [f"{name} is {found!r}, not {wanted!r}" for name, wanted, found in said if wanted and wanted != found]
    if wrong:
        raise NotThatImage(f"{where}: {'; '.join(wrong)}", hint="correct the inputs, or name another snapshot")
    theirs = labels.environment not in (None, environment)
    warnings = (f"{where} belongs to environment {labels.environment}, which may remove it",) if theirs else ()
    return FoundImage(facts, labels, labels.version, warnings)


def registered(found: FoundImage, claimed: ImageRegisterInputs, *, lab: bool) -> Registered:
    """Return what a state says of a snapshot that others made; `lab` as its site is."""
    facts, labels = found.facts, found.labels
    outputs = standing_image_outputs(
        key=claimed.image_key,
        image_ref=facts.image_ref,
        # Hetzner's snapshots have no name.
        name=facts.description,
        description=facts.description,
        version=found.version,
        source_url=claimed.image_source_url,
    ) | found_lineage(
        version=found.version,
        record_digest=labels.record_digest if labels else None,
        disk_sha256=labels.disk_sha256 if labels else None,
        lab=labels.lab if labels else lab,
    )
    if labels is not None and labels.environment is not None:
        outputs["image_environment"] = labels.environment
    return Registered(facts.image_ref, found.version, outputs, found.warnings)
