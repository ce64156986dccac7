import pytest

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.state import (
    ModuleState,
    image_outputs,
    record_outputs,
    require_lab_slot,
    template_outputs,
)
from tests.contract.samples import contract


def test_a_consumer_that_knows_only_artifact_names_finds_url_digest_and_version() -> None:
    promised = contract()
    entry = record_outputs(promised)["artifacts"]
    assert isinstance(entry, dict)
    found = entry["vyos-1.5"]
    assert isinstance(found, dict)
    assert found["artifact_url"] == promised.urls["qcow2"]
    assert found["artifact_sha256"] == promised.record.variants["qcow2"].sha256
    assert found["artifact_version"] == promised.record.version


def test_the_documents_names_and_the_aliases_say_the_same() -> None:
    outputs = record_outputs(contract())
    for name in ("key", "url", "format", "version", "sha256"):
        assert outputs[f"record_{name}"] == outputs[f"artifact_{name}"]


def test_both_variants_stand_in_the_outputs_with_their_own_digests() -> None:
    promised = contract()
    variants = record_outputs(promised)["record_variants"]
    assert isinstance(variants, dict)
    assert {name: variant["sha256"] for name, variant in variants.items() if isinstance(variant, dict)} == {
        name: variant.sha256 for name, variant in promised.record.variants.items()
    }


def test_the_raw_xz_is_an_artifact_of_its_own_for_a_consumer_that_knows_one_file_to_a_key() -> None:
    promised = contract()
    entry = record_outputs(promised)["artifacts"]
    assert isinstance(entry, dict)
    found = entry["vyos-1.5.raw.xz"]
    assert isinstance(found, dict)
    assert found["artifact_url"] == promised.urls["raw.xz"]
    assert found["artifact_sha256"] == promised.record.variants["raw.xz"].sha256
    assert (found["artifact_format"], found["artifact_version"]) == ("raw", promised.record.version)


def test_an_output_of_hybridops_without_a_meaning_is_blank_rather_than_absent() -> None:
    """Absent, a stale input of that name would stand in what its modules resolve."""
    outputs = record_outputs(contract())
    assert (outputs["source_iso_url"], outputs["artifact_local_path"]) == ("", "")


def test_an_adopted_template_is_not_called_seeded() -> None:
    outputs = template_outputs(contract(), vmid=9200, name="vyos", node="pve1", seeded=False)
    assert outputs["template_seeded"] is False
    assert outputs["template_vm_id"] == 9200


def test_an_image_reference_is_text() -> None:
    outputs = image_outputs(contract(), image_ref="42", name="", description="hyops-vyos-1.5-x", seeded=True)
    assert outputs["image_ref"] == "42"
    assert outputs["images"] == {"vyos-1.5": {k: outputs[k] for k in outputs["images"]["vyos-1.5"]}}  # type: ignore[index]


def _state(**outputs: str | bool) -> ModuleState:
    return ModuleState.model_validate(
        {
            "module_ref": "core/hetzner/vyos-image-seed",
            "run_id": "r",
            "status": "ok",
            "updated_at": "2026-11-22T00:00:00Z",
            "outputs": outputs,
        }
    )


def test_a_lab_may_replace_its_own_state_and_an_empty_slot() -> None:
    require_lab_slot(None, lab=True, where="slot")
    require_lab_slot(_state(image_ref="1", lab=True), lab=True, where="slot")


def test_a_lab_may_not_replace_a_real_state() -> None:
    with pytest.raises(Refused, match="no lab wrote"):
        require_lab_slot(_state(image_ref="1"), lab=True, where="slot")
    require_lab_slot(_state(image_ref="1"), lab=False, where="slot")
