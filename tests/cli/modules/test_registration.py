"""What stands at a site becomes a state: read by the real clients from the lab's stand-ins."""

from dataclasses import replace
from typing import Any

import pytest

from hyops_assets.cli.environment import Place
from hyops_assets.cli.modules import registration
from hyops_assets.cli.modules.sites import slot_of
from hyops_assets.cli.modules.work import Work
from hyops_assets.contract.inputs import BadInputs, ModuleInputs, read_inputs
from hyops_assets.contract.references import IMAGE_REGISTER, IMAGE_SEED, TEMPLATE_IMPORT, TEMPLATE_SEED, StateRef
from hyops_assets.contract.register_inputs import ImageRegisterInputs, TemplateImportInputs
from hyops_assets.contract.state import Outputs
from hyops_assets.settings.pipeline import Settings, SettingsError
from hyops_lab.cli.lab import SITE
from resources.secrets import MissingSecret
from resources.sites.hetzner.registration import NotThatImage, require_image
from resources.sites.hetzner.resource import HetznerProjects
from resources.sites.proxmox.registration import NotThatTemplate, require_template
from resources.sites.proxmox.resource import ProxmoxSeeders
from tests.assets.environment import RELEASE, LabEnvironment


def work(home: LabEnvironment, module: str, inputs: ModuleInputs, settings: Settings | None = None) -> Work:
    return Work(Place(home.root, ""), StateRef(module), inputs, settings or home.settings, {}, run_id="apply-1")


def imported(home: LabEnvironment, settings: Settings | None = None, **given: Any) -> Outputs:
    inputs = read_inputs(TEMPLATE_IMPORT, TemplateImportInputs, given)
    outputs = registration.apply(work(home, TEMPLATE_IMPORT, inputs, settings)).outputs
    assert outputs is not None
    return outputs


def registered(home: LabEnvironment, settings: Settings | None = None, **given: Any) -> Outputs:
    inputs = read_inputs(IMAGE_REGISTER, ImageRegisterInputs, given)
    outputs = registration.apply(work(home, IMAGE_REGISTER, inputs, settings)).outputs
    assert outputs is not None
    return outputs


def seeded_outputs(home: LabEnvironment, module: str) -> Outputs:
    return home.state(str(StateRef(module).path))["outputs"]


@pytest.fixture
def vmid(seeded: LabEnvironment) -> int:
    return int(str(seeded_outputs(seeded, TEMPLATE_SEED)["template_vm_id"]))


@pytest.fixture
def image_ref(seeded: LabEnvironment) -> str:
    return str(seeded_outputs(seeded, IMAGE_SEED)["image_ref"])


def test_an_imported_template_has_the_state_of_its_seed(
    seeded: LabEnvironment, vmid: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = seeded.mutations()
    outputs = imported(seeded, template_vm_id=vmid)
    expected = seeded_outputs(seeded, TEMPLATE_SEED)
    expected.pop("template_seeded")
    assert outputs == expected
    assert capsys.readouterr().out == ""
    assert seeded.mutations() == before


def test_a_token_that_may_only_read_imports_the_same(
    seeded: LabEnvironment, vmid: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = imported(seeded, template_vm_id=vmid)
    monkeypatch.setattr(seeded.lab.proxmox.access, "privileges", {"/": frozenset({"VM.Audit", "Datastore.Audit"})})
    assert imported(seeded, template_vm_id=vmid) == whole
    assert capsys.readouterr().out == ""


def test_a_registered_snapshot_has_the_state_of_its_seed(seeded: LabEnvironment, image_ref: str) -> None:
    before = seeded.mutations()
    source = str(seeded_outputs(seeded, IMAGE_SEED)["image_source_url"])
    outputs = registered(seeded, image_ref=image_ref, image_version=RELEASE, image_source_url=source)
    expected = seeded_outputs(seeded, IMAGE_SEED)
    expected.pop("image_seeded")
    assert outputs == expected
    assert seeded.mutations() == before


def test_a_plan_looks_and_names_the_record(seeded: LabEnvironment, vmid: int, image_ref: str) -> None:
    template = read_inputs(TEMPLATE_IMPORT, TemplateImportInputs, {"template_vm_id": vmid})
    image = read_inputs(IMAGE_REGISTER, ImageRegisterInputs, {"image_ref": image_ref})
    lines = registration.plan(work(seeded, TEMPLATE_IMPORT, template))
    lines += registration.plan(work(seeded, IMAGE_REGISTER, image))
    assert [(line.what, line.action, line.detail) for line in lines] == [
        (f"VMID {vmid}", "register", RELEASE),
        (f"snapshot {image_ref}", "register", RELEASE),
    ]


@pytest.fixture
def foreign(seeded: LabEnvironment) -> Any:
    """A machine that no environment made a template of, made by hand; the tests convert it."""
    client = ProxmoxSeeders(seeded.settings).seeder(SITE).client
    node, vmid = seeded.settings.sites.proxmox[SITE].node, 9100
    api = client._api
    api.nodes(node).qemu.post(vmid=vmid, name="by-hand")
    yield api.nodes(node).qemu(vmid), vmid
    api.nodes(node).qemu(vmid).delete()


def test_a_template_that_says_nothing_of_a_record_is_imported_with_a_warning(
    seeded: LabEnvironment, foreign: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    machine, vmid = foreign
    with pytest.raises(NotThatTemplate, match="is a virtual machine, not a template"):
        imported(seeded, template_vm_id=vmid)
    machine.template.post()
    outputs = imported(seeded, template_vm_id=vmid, template_image_version=RELEASE, template_name="by-hand")
    assert (outputs["template_image_version"], outputs["record_digest"], outputs["lab"]) == (RELEASE, None, True)
    assert "its disk is not vouched for" in capsys.readouterr().out


def test_a_clone_of_a_template_does_not_pass_for_the_template_of_its_record(seeded: LabEnvironment, vmid: int) -> None:
    facts = ProxmoxSeeders(seeded.settings).seeder(SITE).audit(vmid)
    assert facts.lineage is not None
    clone = replace(facts, vmid=vmid + 1)
    claimed = TemplateImportInputs(template_vm_id=vmid + 1)
    result = require_template(clone, claimed, lab=True)
    assert result.lineage is None
    assert f"carries the lineage of VMID {vmid}" in result.warnings[0]
    unfinished = replace(facts, lineage=facts.lineage.model_copy(update={"state": "building"}))
    with pytest.raises(NotThatTemplate, match="its seed was not finished"):
        require_template(unfinished, claimed, lab=True)
    with pytest.raises(NotThatTemplate, match="locked"):
        require_template(replace(facts, lock="clone"), claimed, lab=True)
    with pytest.raises(NotThatTemplate, match="seeded in a lab"):
        require_template(facts, claimed, lab=False)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"template_name": "other"}, "template_name is '.*', not 'other'"),
        ({"template_key": "vyos-1.4"}, "template_key is 'vyos-1.5', not 'vyos-1.4'"),
        ({"template_image_version": "2026.03.04-0027-rolling"}, "template_image_version is"),
    ],
)
def test_a_template_that_contradicts_a_claim_is_refused(
    seeded: LabEnvironment, vmid: int, claim: dict[str, Any], said: str
) -> None:
    with pytest.raises(NotThatTemplate, match=said):
        imported(seeded, template_vm_id=vmid, **claim)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"image_key": "vyos-1.4"}, "image_key is 'vyos-1.5', not 'vyos-1.4'"),
        ({"image_version": "2026.03.04-0027-rolling"}, "image_version is"),
    ],
)
def test_a_snapshot_that_contradicts_a_claim_is_refused(
    seeded: LabEnvironment, image_ref: str, claim: dict[str, Any], said: str
) -> None:
    with pytest.raises(NotThatImage, match=said):
        registered(seeded, image_ref=image_ref, **claim)


def test_what_is_not_there_is_named_beside_what_is(seeded: LabEnvironment, vmid: int, image_ref: str) -> None:
    with pytest.raises(NotThatTemplate, match=rf"proxmox/{SITE} has no machine 9199 .* its templates: {vmid} \(vyos-"):
        imported(seeded, template_vm_id=9199)
    there = rf"hetzner/{SITE} has no snapshot 999999; its snapshots: {image_ref} \(hyops-vyos"
    with pytest.raises(NotThatImage, match=there) as refused:
        registered(seeded, image_ref="999999")
    assert "one of another project is seen from that project's site only" in refused.value.hint
    # As YAML reads a number without quotes.
    assert registered(seeded, image_ref=int(image_ref))["image_ref"] == image_ref


def test_an_image_of_the_system_is_no_snapshot(seeded: LabEnvironment) -> None:
    client = HetznerProjects(seeded.settings).seeder(SITE)._client
    system = client._api.images.get_all(type=["system"])[0]
    with pytest.raises(NotThatImage, match="no snapshot"):
        registered(seeded, image_ref=str(system.id))


def test_an_unknown_site_and_a_missing_token_are_reported(
    seeded: LabEnvironment, vmid: int, image_ref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="no proxmox site 'nowhere'"):
        imported(seeded, template_vm_id=vmid, site="nowhere")
    with pytest.raises(SettingsError, match="no hetzner site ''"):
        registered(seeded, Settings(), image_ref=image_ref)
    monkeypatch.delenv(seeded.settings.sites.hetzner[SITE].token_env)
    with pytest.raises(MissingSecret):
        registered(seeded, image_ref=image_ref)


@pytest.mark.parametrize(
    ("module", "model", "given", "said"),
    [
        (TEMPLATE_IMPORT, TemplateImportInputs, {}, "template_vm_id"),
        (TEMPLATE_IMPORT, TemplateImportInputs, {"template_vm_id": True}, "template_vm_id"),
        (TEMPLATE_IMPORT, TemplateImportInputs, {"template_vm_id": 99}, "template_vm_id"),
        (TEMPLATE_IMPORT, TemplateImportInputs, {"template_vm_id": 9205, "seed_if_missing": True}, "seed_if_missing"),
        (
            TEMPLATE_IMPORT,
            TemplateImportInputs,
            {"template_vm_id": 9205, "template_source_url": "https://example.org/vyos.qcow2"},
            "needs template_image_version",
        ),
        (IMAGE_REGISTER, ImageRegisterInputs, {}, "image_ref"),
        (IMAGE_REGISTER, ImageRegisterInputs, {"image_ref": "hyops-vyos"}, "image_ref"),
        (
            IMAGE_REGISTER,
            ImageRegisterInputs,
            {"image_ref": "1", "image_version": RELEASE, "image_source_url": f"gs://b/vyos-{RELEASE}.raw.xz"},
            "gs://",
        ),
    ],
)
def test_wrong_inputs_are_named(module: str, model: type[ModuleInputs], given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputs, match=said):
        read_inputs(module, model, given)


def test_a_pending_and_an_unfinished_snapshot_are_refused(seeded: LabEnvironment, image_ref: str) -> None:
    facts = HetznerProjects(seeded.settings).seeder(SITE).audit(image_ref)
    assert facts.labels is not None
    claimed = ImageRegisterInputs(image_ref=image_ref)
    with pytest.raises(NotThatImage, match="is creating, not available"):
        require_image(replace(facts, status="creating"), claimed, lab=True)
    with pytest.raises(NotThatImage, match="its seed was not finished"):
        require_image(replace(facts, labels=replace(facts.labels, state="pending")), claimed, lab=True)
    with pytest.raises(NotThatImage, match="seeded in a lab"):
        require_image(facts, claimed, lab=False)
    bare = require_image(replace(facts, labels=None), claimed, lab=True)
    assert "is not vouched for" in bare.warnings[0]


def test_a_site_of_another_name_has_a_slot_of_its_own(seeded: LabEnvironment) -> None:
    site = seeded.settings.sites.proxmox[SITE]
    sites = seeded.settings.sites.model_copy(
        update={"proxmox": {"berlin": site.model_copy(update={"default": True}), "hamburg": site}}
    )
    settings = seeded.settings.model_copy(update={"sites": sites})
    slots = [
        slot_of(TemplateImportInputs(template_vm_id=9205, site=name), settings, asked)
        for name, asked in (("", None), ("berlin", None), ("hamburg", None), ("", "hamburg"), ("", "other"))
    ]
    assert slots == [None, None, "hamburg", "hamburg", None]
