"""What is asked for one template reaches the site through the graph, and no state goes on naming what is gone."""

import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.cli.lab import SITE
from tests.assets.house import RELEASE, House

STATE = "core__onprem__vyos-template-seed/latest.json"
AGAIN = f"{RELEASE}-r2"
VMID = 9150
AT = {"template_vm_id": VMID}
REPLACE = {**AT, "rebuild_if_exists": True}


@pytest.mark.slow
def test_a_vmid_is_replaced_when_that_is_asked_for_and_never_under_a_state_that_names_it(published: House) -> None:
    home, graph = published, published.graph()
    graph.seed_proxmox(SITE, RELEASE, {**AT, "template_name": "edge", "cpu_cores": 3})
    outputs = home.state(STATE)["outputs"]
    assert (outputs["template_vm_id"], outputs["template_name"]) == (VMID, "edge")

    graph.build(AGAIN)
    with pytest.raises(RunFailed, match="set rebuild_if_exists to replace it"):
        graph.seed_proxmox(SITE, AGAIN, AT)
    assert home.state(STATE)["outputs"] == outputs

    replaced = graph.seed_proxmox(SITE, AGAIN, REPLACE).metadata["proxmox_template"]
    assert (replaced["vmid"], replaced["replaced"]) == (VMID, RELEASE)
    named = home.state(STATE)["outputs"]
    assert (named["template_vm_id"], named["template_image_version"]) == (VMID, AGAIN)

    before = home.mutations()
    with pytest.raises(RunFailed, match=f"names VMID {VMID} as {AGAIN}, and seeding {RELEASE} does not move it"):
        graph.seed_proxmox(SITE, RELEASE, REPLACE)
    assert (home.mutations(), home.state(STATE)["outputs"]) == (before, named)
