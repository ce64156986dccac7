from typing import Any

import pytest

from hyops_assets.contract.consumed import UnresolvedState
from hyops_assets.contract.edges import HetznerEdgesInputs, OnpremEdgeInputs
from hyops_assets.contract.inputs import BadInputs, read_inputs
from hyops_assets.contract.references import HETZNER_EDGES, IMAGE_SEED, ONPREM_EDGE, TEMPLATE_SEED, StateRef
from hyops_assets.contract.resolution import resolve_inputs
from hyops_assets.contract.state import ModuleState, Outputs, image_outputs, template_outputs
from tests.contract.samples import contract

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f operator"
USER_DATA = "#cloud-config\nvyos_config_commands:\n  - set system host-name edge-01\n"
META_DATA = "instance-id: edge-01\nlocal-hostname: edge-01\n"
STATIC = {"bridge": "vmbr0", "ipv4": {"address": "192.0.2.10/24", "gateway": "192.0.2.1"}}
DYNAMIC = {"bridge": "vmbr1", "ipv4": {"address": "dhcp"}}


def machine(**changes: Any) -> dict[str, Any]:
    return {
        "interfaces": [STATIC, DYNAMIC],
        "cloud_init_user_data": USER_DATA,
        "cloud_init_meta_data": META_DATA,
    } | changes


def onprem(**changes: Any) -> OnpremEdgeInputs:
    return read_inputs(ONPREM_EDGE, OnpremEdgeInputs, {"vms": {"edge-01": machine()}} | changes)


def hetzner(**changes: Any) -> HetznerEdgesInputs:
    return read_inputs(HETZNER_EDGES, HetznerEdgesInputs, changes)


def ready(module: str, outputs: Outputs) -> ModuleState:
    content = {"module_ref": module, "run_id": "r", "status": "ok", "updated_at": "2026-11-22T00:00:00Z"}
    return ModuleState.model_validate(content | {"outputs": outputs})


def test_hybridops_defaults_are_inputs_that_validate() -> None:
    assert hetzner().edge02_private_ip == "10.80.0.12"
    assert onprem().template_state_ref == TEMPLATE_SEED


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"vms": {}}, "vms"),
        ({"vms": {"Edge_01": machine()}}, "vms"),
        ({"vms": {"edge-01": machine(interfaces=[])}}, "interfaces"),
        ({"vms": {"edge-01": machine(cloud_init_user_data="vyos_config_commands: []")}}, "#cloud-config"),
        ({"vms": {"edge-01": machine(cloud_init_user_data="#cloud-config\n# runcmd\nusers: []\n")}}, "or runcmd"),
        ({"vms": {"edge-01": machine(cloud_init_user_data="#cloud-config\nruncmd: reboot\n")}}, "is a list"),
        ({"vms": {"edge-01": machine(cloud_init_user_data="#cloud-config\n" + "[" * 1000)}}, "is no YAML"),
        ({"vms": {"edge-01": machine(cloud_init_meta_data="instance-id: a\n")}}, "lacks local-hostname"),
        ({"vms": {"edge-01": machine(cloud_init_network_data="version: 2\nethernets: {}\n")}}, "of version 1"),
        ({"vms": {"edge-01": machine(interfaces=[{"bridge": "vmbr0", "ipv4": {"address": "192.0.2.10"}}])}}, "prefix"),
        (
            {"vms": {"edge-01": machine(interfaces=[{"bridge": "vmbr0", "ipv4": {"address": "192.0.2.10/24"}}])}},
            "needs a gateway",
        ),
        (
            {
                "vms": {
                    "edge-01": machine(
                        interfaces=[
                            {"bridge": "vmbr0", "ipv4": {"address": "192.0.2.10/24", "gateway": "198.51.100.1"}}
                        ]
                    )
                }
            },
            r"198\.51\.100\.1 is not in 192\.0\.2\.0/24",
        ),
        ({"vms": {"edge-01": machine(interfaces=[STATIC, STATIC])}}, "first interface only"),
        (
            {
                "vms": {
                    "edge-01": machine(
                        cloud_init_user_data=USER_DATA + "  - set interfaces ethernet eth1 address '192.0.2.10/24'\n"
                    )
                }
            },
            "use eth0",
        ),
        ({"ssh_username": "root"}, "ssh_username"),
        ({"ssh_keys": [PUBLIC_KEY]}, "exactly one"),
        ({"ssh_keys_from_init": False}, "exactly one"),
        ({"ssh_keys_from_init": False, "ssh_keys": [PUBLIC_KEY.replace("AAAAC3Nz", "AAAAC3Nx")]}, "something else"),
        ({"ssh_keys_from_init": False, "ssh_keys": ["CHANGE_ME"]}, "placeholders"),
        ({"build_image": True}, "builds no image"),
    ],
)
def test_an_onprem_edge_that_could_not_work_is_refused_before_a_machine_is_made(
    changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadInputs, match=why):
        onprem(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"cloud_init_network_data": "version: 1\nconfig: []\n"},
        {"cloud_init_user_data": "#cloud-config\nruncmd: [reboot]\n"},
        {"cloud_init_user_data": USER_DATA + "  - set interfaces ethernet eth1 address dhcp\n"},
        {"interfaces": [DYNAMIC]},
    ],
)
def test_an_onprem_edge_may_differ_in_what_is_optional(changes: dict[str, Any]) -> None:
    onprem(vms={"edge-01": machine(**changes)})


def test_a_blank_key_is_the_default_as_hybridops_reads_it() -> None:
    assert onprem(template_key="").template_key == hetzner(image_key="").image_key == "vyos-1.5"


def test_keys_may_be_written_out_instead_of_taken_from_init() -> None:
    assert onprem(ssh_keys_from_init=False, ssh_keys=[PUBLIC_KEY]).ssh_keys == (PUBLIC_KEY,)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"edge02_private_ip": "10.80.0.11"}, "are the same"),
        ({"edge02_private_ip": "10.81.0.12"}, r"not in private_network_cidr 10\.80\.0\.0/24: edge02_private_ip"),
        ({"edge02_private_ip": "fd00::1"}, "edge02_private_ip"),
        ({"private_network_cidr": "10.80.0.1/24"}, "private_network_cidr"),
        ({"ssh_source_cidrs": []}, "ssh_source_cidrs"),
        ({"ipsec_source_cidrs": ["everywhere"]}, "ipsec_source_cidrs"),
        ({"floating_ip_type": "ipv6"}, "floating_ip_type"),
        ({"assign_floating_to": "edge03"}, "assign_floating_to"),
        ({"ssh_public_key": "ssh-rsa AAAA"}, "ssh_public_key"),
        ({"edge02_name": "edge-01"}, "are the same"),
    ],
)
def test_hetzner_edges_that_could_not_work_are_refused_before_a_server_is_paid_for(
    changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadInputs, match=why):
        hetzner(**changes)


IMAGE = image_outputs(contract(), image_ref="42", name="", description="d", seeded=True)
TEMPLATE = template_outputs(contract(), vmid=9203, name="vyos", node="pve1", seeded=True)
SEEDED = {IMAGE_SEED: IMAGE, TEMPLATE_SEED: TEMPLATE}


def find(ref: StateRef) -> ModuleState | None:
    return ready(ref.module, SEEDED[ref.module]) if ref.instance is None and ref.module in SEEDED else None


def test_the_image_state_decides_the_image_whatever_else_is_set() -> None:
    found = resolve_inputs(HetznerEdgesInputs, {"image": "7"}, find).require()
    assert read_inputs(HETZNER_EDGES, HetznerEdgesInputs, found.inputs).image == "42"
    assert found.overruled == (f"image is ignored: image_state_ref={IMAGE_SEED} decides, and it says 42",)


def test_the_template_state_decides_the_template_whatever_else_is_set() -> None:
    found = resolve_inputs(OnpremEdgeInputs, {"template_vm_id": 100, "vms": {"edge-01": machine()}}, find).require()
    assert read_inputs(ONPREM_EDGE, OnpremEdgeInputs, found.inputs).template_vm_id == 9203
    assert [line.split()[0] for line in found.overruled] == ["template_vm_id"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"image_key": "vyos-1.4"}, r"has no image 'vyos-1\.4' \(it has: vyos-1\.5\)"),
        ({"image_state_ref": f"{IMAGE_SEED}#elsewhere"}, "#elsewhere has no state"),
        ({"foundation_state_ref": "org/hetzner/shared-private-network"}, "shared-private-network has no state"),
    ],
)
def test_an_image_that_the_state_does_not_have_is_refused_and_no_other_taken(given: dict[str, str], why: str) -> None:
    with pytest.raises(UnresolvedState, match=why):
        resolve_inputs(HetznerEdgesInputs, given | {"image": "7"}, find).require()


def test_a_template_that_the_state_does_not_have_is_refused() -> None:
    with pytest.raises(UnresolvedState, match=r"it has: vyos-1\.5"):
        resolve_inputs(OnpremEdgeInputs, {"template_key": "vyos-1.4"}, find).require()
