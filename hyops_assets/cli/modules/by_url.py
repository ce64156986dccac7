"""A record that a seed names by its URL: only one that this environment knows, byte for byte."""

from hyops_assets.cli.modules.work import Work
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import SeedInputs
from hyops_assets.contract.references import IMAGE_ARTIFACT
from resources.artifacts.store import ArtifactStore


class UnknownRecord(Refused):
    """A URL and a digest that no record of this environment has."""


def refuse(work: Work) -> None:
    """Refuse a URL that is not one of the contract of its version; a state reference has decided already.

    What a seed writes is compared with the record's disk; a bare URL has none. So a file is registered first, which
    reads and verifies it once.

    Raises:
        UnknownRecord: no such version is known here, or its file has another URL or other bytes.
    """
    inputs = work.inputs
    if not isinstance(inputs, SeedInputs) or inputs.record_state_ref:
        return
    store = ArtifactStore(work.place.root.artifacts)
    held = store.find_document("published_contract", inputs.record_version, Contract)
    known = {url: held.record.variants[format_].sha256 for format_, url in held.urls.items()} if held else {}
    if known.get(inputs.source_url) != inputs.record_sha256:
        raise UnknownRecord(
            f"no record of {inputs.record_version} is known here with this URL and sha256 {inputs.record_sha256}",
            hint=f"register it first: hyops apply --module {IMAGE_ARTIFACT}, then name its state in record_state_ref",
        )
