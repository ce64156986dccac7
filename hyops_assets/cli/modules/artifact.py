"""`core/shared/vyos-image-artifact`: a record that others published becomes this environment's to seed."""

from typing import TYPE_CHECKING

from hyops_assets.cli.modules.in_graph import done, graph_of
from hyops_assets.cli.modules.work import Done, Intended, Work
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.register_inputs import ArtifactInputs
from resources.artifacts.own_records import refuse_own
from resources.artifacts.store import ArtifactStore

if TYPE_CHECKING:
    from hyops_assets.cli.graph import Ran


def plan(work: Work) -> list[Intended]:
    """Say what would be read, and under which name it would be known.

    Raises:
        PublishedHere: the version is this environment's own.
    """
    refuse(work)
    inputs = artifact_inputs(work.inputs)
    urls = [inputs.record_document_url] if inputs.record_document_url else [file.url for file in inputs.files.values()]
    return [
        *(Intended(url, "read and verify") for url in urls),
        Intended(f"{inputs.record_key} {inputs.record_version}", "register", f"as {work.ref}"),
    ]


def refuse(work: Work) -> None:
    """Refuse what this environment published itself, before a slot or a run says that it would be registered.

    Raises:
        PublishedHere: the version is this environment's own.
    """
    refuse_own(ArtifactStore(work.place.root.artifacts), artifact_inputs(work.inputs).record_version)


def apply(work: Work) -> Done:
    """Read and verify the record, and take it in under its own URLs; publish nothing.

    Raises:
        RunFailed: what is published there is not the record that is claimed.
    """
    inputs = artifact_inputs(work.inputs)
    with graph_of(work) as graph:
        ran = graph.register(inputs.record_version, registration(inputs))
    for warning in warnings_of(ran):
        work.place.console.print(f"warning: {warning}")
    return done(ran)


def registration(inputs: ArtifactInputs) -> dict[str, object]:
    """Return the inputs as the graph takes them."""
    files = inputs.files
    return {
        "record_key": inputs.record_key,
        "record_document_url": inputs.record_document_url,
        "urls": {format_: file.url for format_, file in files.items()},
        "sha256": {format_: file.sha256 for format_, file in files.items() if file.sha256},
        "source_iso_url": inputs.source_iso_url,
    }


def warnings_of(ran: "Ran") -> list[str]:
    """Return what the registration found out and does not vouch for."""
    warnings = ran.metadata["published_contract"].get("warnings")
    return [str(warning) for warning in warnings] if isinstance(warnings, list) else []


def artifact_inputs(inputs: ModuleInputs) -> ArtifactInputs:
    """Return the inputs as this module's."""
    if not isinstance(inputs, ArtifactInputs):
        raise TypeError(type(inputs).__name__)
    return inputs
