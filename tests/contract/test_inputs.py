import pytest

from hyops_assets.contract.inputs import BadInputs, BuildInputs, ImageSeedInputs, read_inputs
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED

BUILD = {"record_version": "2026.03.03-0027-rolling", "allow_iso_build": True}


def test_the_documents_names_are_read() -> None:
    given = {"record_state_ref": f"{IMAGE_BUILD}#vyos_default_build", "record_key": "vyos-1.5"}
    inputs = read_inputs(IMAGE_SEED, ImageSeedInputs, given)
    assert inputs.record_state_ref.endswith("#vyos_default_build")


def test_artifact_names_are_aliases() -> None:
    inputs = read_inputs(IMAGE_BUILD, BuildInputs, {"artifact_version": "2026.03", "artifact_key": "vyos-1.5"})
    assert inputs.record_version == "2026.03"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (BUILD | {"record_key": "vyos-1.5", "artifact_key": "vyos-1.4"}, "record_key and artifact_key"),
        (BUILD | {"source_iso_url": "https://CHANGE-ME/x.iso"}, "source_iso_url"),
        (BUILD | {"reccord_key": "x"}, "reccord_key"),
        (BUILD | {"record_version": "latest"}, "record_version"),
        (BUILD | {"allow_iso_build": "perhaps"}, "allow_iso_build"),
        (BUILD | {"repo_state_ref": "org/../x"}, "repo_state_ref"),
        ({"allow_iso_build": True, "record_version": ""}, "record_version"),
        ({"record_version": "2026.03", "source_iso_url": "https://h/x.iso"}, "ISO build is disabled"),
    ],
)
def test_wrong_inputs_are_refused_by_name(given: dict[str, object], names: str) -> None:
    with pytest.raises(BadInputs, match=names):
        read_inputs(IMAGE_BUILD, BuildInputs, given)
