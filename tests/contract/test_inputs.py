from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hyops_assets.contract.edges import HetznerEdgesInputs, OnpremEdgeInputs
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.inputs import (
    GCS_KEY_VARIABLES,
    BadInputs,
    BuildInputs,
    ImageSeedInputs,
    SeedInputs,
    TemplateSeedInputs,
    fold_aliases,
    read_inputs,
)
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, TEMPLATE_SEED
from hyops_assets.contract.register_inputs import ArtifactInputs, ImageRegisterInputs, TemplateImportInputs
from hyops_assets.settings.object_repo import ObjectRepoInputs
from tests.contract.leaves import HUGE, TEXTS, leaves

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


VERSION = "2026.03.03-0027-rolling-r2"
QCOW2 = f"https://images.example.net/network/vyos/vyos-1.5-{VERSION}.qcow2"
RAW_XZ = QCOW2.replace(".qcow2", ".raw.xz")
BY_URL = {"image_source_url": RAW_XZ, "record_version": VERSION, "record_sha256": "0" * 64}


@pytest.mark.parametrize("variable", GCS_KEY_VARIABLES)
def test_publishing_by_reference_into_a_bucket_names_the_variable_of_its_key(variable: str) -> None:
    into_the_bucket = BUILD | {"repo_state_ref": "org/gcp/object-repo#vyos_records"}
    with pytest.raises(BadInputs, match="needs required_env to list HYOPS_VYOS_GCS_SA_JSON_FILE or"):
        read_inputs(IMAGE_BUILD, BuildInputs, into_the_bucket | {"required_env": ["HCLOUD_TOKEN"]})
    read_inputs(IMAGE_BUILD, BuildInputs, into_the_bucket | {"required_env": [variable]})
    # The environment's own repository brings its own way of logging in.
    read_inputs(IMAGE_BUILD, BuildInputs, BUILD)


def test_a_variables_value_is_no_variables_name() -> None:
    with pytest.raises(BadInputs, match="required_env"):
        read_inputs(IMAGE_BUILD, BuildInputs, BUILD | {"required_env": ['{"type": "service_account"}']})


def test_a_seed_by_url_says_which_bytes_of_which_version_these_are() -> None:
    assert read_inputs(IMAGE_SEED, ImageSeedInputs, BY_URL).source_url == RAW_XZ
    by_record_url = {"record_url": QCOW2, "record_version": VERSION, "record_sha256": "0" * 64}
    assert read_inputs(TEMPLATE_SEED, TemplateSeedInputs, by_record_url).source_url == QCOW2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"image_source_url": ""}, "set record_state_ref, or image_source_url"),
        ({"record_sha256": ""}, "needs record_sha256"),
        ({"record_sha256": "abc"}, "record_sha256"),
        ({"record_version": ""}, "needs record_version"),
        ({"record_version": "latest"}, "not a VyOS release"),
        ({"record_url": QCOW2}, "image_source_url and record_url name different files"),
        ({"image_source_url": f"gs://bucket/vyos-1.5-{VERSION}.raw.xz"}, "gs://"),
        ({"image_source_url": "https://images.example.net/vyos-1.5-latest.raw.xz"}, "moves"),
        ({"image_source_url": RAW_XZ.replace("-r2", "")}, "lacks the version"),
        ({"image_source_url": f"{RAW_XZ}?X-Amz-Signature=f00d"}, "signed"),
        ({"record_state_ref": "core/../x"}, "not a state reference"),
    ],
)
@pytest.mark.parametrize("model", [ImageSeedInputs, TemplateSeedInputs])
def test_a_seed_by_url_that_could_be_anyones_disk_is_refused(
    model: type[SeedInputs], changes: dict[str, str], why: str
) -> None:
    with pytest.raises(BadInputs, match=why) as refusal:
        read_inputs(IMAGE_SEED, model, BY_URL | changes)
    assert "f00d" not in str(refusal.value)


def test_a_blank_alias_says_nothing_and_an_equal_one_is_no_conflict() -> None:
    assert fold_aliases({"record_key": "vyos-1.5", "artifact_key": ""}) == {"record_key": "vyos-1.5"}
    assert fold_aliases({"record_key": "", "artifact_key": "vyos-1.5"}) == {"record_key": "vyos-1.5"}
    assert fold_aliases({"record_key": "vyos-1.5", "artifact_key": "vyos-1.5"}) == {"record_key": "vyos-1.5"}
    with pytest.raises(BadInputs, match="different values"):
        fold_aliases({"artifact_state_ref": "a/b", "record_state_ref": "a/c"})


def test_a_name_that_is_no_text_is_refused_by_name() -> None:
    with pytest.raises(BadInputs, match="no names of inputs: 1"):
        fold_aliases({1: "x"})  # type: ignore[dict-item]


FREE_INPUTS = [
    (f"{module.__name__}.{path}", kind, demanded)
    for module in (
        BuildInputs,
        TemplateSeedInputs,
        ImageSeedInputs,
        ArtifactInputs,
        TemplateImportInputs,
        ImageRegisterInputs,
        ObjectRepoInputs,
        OnpremEdgeInputs,
        HetznerEdgesInputs,
        HandedOver,
    )
    for path, kind, demanded in leaves(module)
]


@pytest.mark.parametrize(
    ("kind", "demanded"), [leaf[1:] for leaf in FREE_INPUTS], ids=[leaf[0] for leaf in FREE_INPUTS]
)
def test_every_input_has_a_grammar_and_every_number_has_bounds(kind: type, demanded: Any) -> None:
    """The next input without one fails here: it would reach a terminal, a document or a path as it is."""
    adapter = TypeAdapter(demanded)
    for wrong in HUGE if kind in {int, float} else TEXTS:
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
