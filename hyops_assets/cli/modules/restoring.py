"""A record that this host no longer holds, read again from where it was published: a state copied to a new machine.

Three places know a record: the states, the artifact store and the published objects. A seed needs the contract in the
store; where that is lost, the state that the seed's inputs refer to names the objects, and the digest that they have.
"""

from pydantic import ValidationError

from hyops_assets.cli.modules.work import Work
from hyops_assets.contract.canonical import canonical_json
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.evidence import Contract, Evidence
from hyops_assets.contract.record import Record, VariantFormat
from hyops_assets.contract.references import IMAGE_ARTIFACT, IMAGE_BUILD
from hyops_assets.contract.state import ModuleState
from hyops_assets.contract.urls import local_file, public_url, require_contract_url
from hyops_assets.contract.version import RecordVersion
from resources.artifacts.store import ArtifactStore
from resources.public_files import read_document


class NotRestored(Refused):
    """The record is not on this host, and what was published of it cannot stand in for that."""


def restore_contract(work: Work, version: str) -> None:
    """Have a record's contract in the store before it is seeded; nothing happens where it is there.

    Raises:
        NotRestored: no state names the record's document, or what is published is not what the state says.
        TransientError: it could not be read now.
    """
    store = ArtifactStore(work.place.root.artifacts)
    if store.find_document("published_contract", version, Contract) is not None:
        return
    state = work.resolved.get("record_state_ref")
    if state is None or not state.outputs.get("record_document_url"):
        raise _lost(version, "and no state names its record.json")
    contract = _published(version, state)
    store.write_document("published_contract", version, contract)
    work.place.console.print(f"the record {version} is not on this host: read again from {contract.record_url}")


def _published(version: str, state: ModuleState) -> Contract:
    said = {name: str(state.outputs.get(name) or "") for name in ("record_document_url", "evidence_url", "sbom_url")}
    url, digest = said["record_document_url"], state.outputs.get("record_digest")
    try:
        content = _read(url, version)
        record = Record.model_validate_json(content)
        if (record.version, record.digest) != (version, digest) or canonical_json(record) + b"\n" != content:
            raise _lost(version, f"and {url} is not the record {digest} that the state names")
        evidence = Evidence.model_validate_json(_read(said["evidence_url"], version)) if said["evidence_url"] else None
    except ValidationError as error:
        raise _lost(version, f"and what is published at {url} is no record with its evidence") from error
    if evidence is not None and evidence.record_digest != digest:
        raise _lost(version, f"and {said['evidence_url']} is the evidence of another record")
    return Contract(
        record=record,
        record_digest=record.digest,
        record_url=url,
        evidence_url=said["evidence_url"],
        sbom_url=said["sbom_url"],
        urls=_urls(record, state, url),
        signature=evidence.iso.signature if evidence is not None and evidence.iso is not None else None,
        registered=state.module_ref == IMAGE_ARTIFACT,
    )


def _urls(record: Record, state: ModuleState, url: str) -> dict[VariantFormat, str]:
    """Return where the files are: as the state says, or beside the document."""
    said = state.outputs.get("record_variants")
    stated = said if isinstance(said, dict) else {}
    urls: dict[VariantFormat, str] = {}
    for format_, variant in record.variants.items():
        entry = stated.get(format_)
        named = entry.get("url") if isinstance(entry, dict) else None
        where = named if isinstance(named, str) else public_url(url.rpartition("/")[0], variant.file_name)
        urls[format_] = require_contract_url(where, record.record_version)
    return urls


def _read(url: str, version: str) -> bytes:
    require_contract_url(url, RecordVersion.parse(version))
    try:
        return read_document(url if (path := local_file(url)) is None else str(path))
    except OSError as error:
        raise _lost(version, f"and {url} cannot be read: {error.strerror}") from error


def _lost(version: str, why: str) -> HyopsError:
    return NotRestored(
        f"the record {version} is not on this host, {why}",
        hint=(
            f"have it here again: hyops apply --module {IMAGE_BUILD} adopts what this environment published, "
            f"hyops apply --module {IMAGE_ARTIFACT} registers what others did"
        ),
    )
