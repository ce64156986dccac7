"""What is installed on a record's disk, published beside it, and what changed since the former record."""

import json

from hyops_assets.contract.evidence import Contract, Evidence
from resources.artifacts.store import ArtifactStore
from tests.assets.house import RELEASE, House

REVISION = f"{RELEASE}-r2"


def read(home: House, url: str) -> bytes:
    return next(content for name, content in home.published().items() if url.endswith(f"/{name}"))


def test_a_record_has_its_bill_of_materials_and_a_revision_tells_which_packages_changed(published: House) -> None:
    home = published
    build = home.settings.build
    home.configure(build=build.model_copy(update={"packages": ["cloud-init", "qemu-guest-agent"]}))
    again = home.graph().build(REVISION).metadata["published_contract"]

    store = ArtifactStore(home.root.artifacts)
    first, second = (store.read_document("published_contract", version, Contract) for version in (RELEASE, REVISION))
    bills = [json.loads(read(home, contract.sbom_url)) for contract in (first, second)]
    names = [{component["name"] for component in bill["components"]} for bill in bills]
    assert {"cloud-init", "qemu-guest-agent", "base-files"} <= names[0]
    assert bills[0]["metadata"]["component"]["hashes"][0]["content"] == first.record.disk.sha256

    changes = Evidence.model_validate_json(read(home, second.evidence_url)).package_changes
    assert changes is not None
    assert changes.former == RELEASE
    assert set(changes.removed) == names[0] - names[1]
    assert "cloud-guest-utils" in changes.removed
    assert not changes.added
    assert not changes.changed
    assert f"| cloud-guest-utils | {changes.removed['cloud-guest-utils']} | - |" in str(
        again[f"packages since {RELEASE}"]
    )
    assert Evidence.model_validate_json(read(home, first.evidence_url)).package_changes is None
    assert (
        home.state("core__shared__vyos-image-build/instances/vyos_default_build.json")["outputs"]["sbom_url"]
        == second.sbom_url
    )
