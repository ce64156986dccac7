"""A seed command in place of our own way: what it says it made is looked up before it counts."""

from pathlib import Path

import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.cli.modules.in_graph import handed_over
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.inputs import TemplateSeedInputs
from hyops_lab.cli.lab import SITE
from resources.sites.proxmox.resource import ProxmoxSeeders
from tests.assets.environment import RELEASE, LabEnvironment
from tests.clouds import HETZNER, PROXMOX

TEMPLATE = "core__onprem__vyos-template-seed/latest.json"


def test_a_seed_command_seeds_once_and_what_it_made_is_looked_up(published: LabEnvironment, tmp_path: Path) -> None:
    home = published
    client = ProxmoxSeeders(home.settings).seeder(SITE).client
    machine = client._api.nodes(home.settings.sites.proxmox[SITE].node).qemu
    machine.post(vmid=9100, name="by-command")
    line = f'echo "$HYOPS_VYOS_ARTIFACT_URL" >> {tmp_path}/asked; echo template_vm_id=9100'
    command = HandedOver(seed_command=line, seed_timeout_s=60)
    graph = home.graph(command)

    for wrong, said in (
        ("echo template_vm_id=9101", "9101"),
        ("echo done", "printed no template_vm_id"),
        ("exit 7", "exit status 7"),
        (line, "is a virtual machine, not a template"),
    ):
        with pytest.raises(RunFailed, match=said):
            home.graph(command.but(seed_command=wrong)).seed(PROXMOX, SITE, RELEASE)
        assert not (home.root.states / TEMPLATE).exists()

    machine(9100).template.post()
    first = graph.seed(PROXMOX, SITE, RELEASE).metadata["proxmox_template"]
    assert (first["outcome"], first["ref"]) == ("created", "9100")
    assert home.state(TEMPLATE)["outputs"]["template_vm_id"] == 9100
    assert home.state(TEMPLATE)["outputs"]["template_seeded"] is True
    asked = (tmp_path / "asked").read_text().split()
    assert set(asked) == {home.state(TEMPLATE)["outputs"]["template_source_url"]}

    again = graph.seed(PROXMOX, SITE, RELEASE).metadata["proxmox_template"]
    assert again["outcome"] == "adopted"
    assert (tmp_path / "asked").read_text().split() == asked

    with pytest.raises(RunFailed, match="no snapshot"):
        home.graph(command.but(seed_command="echo image=31415926")).seed(HETZNER, SITE, RELEASE)


def test_a_state_reference_blanks_a_seed_command() -> None:
    url = f"https://example.org/vyos-{RELEASE}.qcow2"
    given = TemplateSeedInputs(
        seed_command="true", image_source_url=url, record_version=RELEASE, record_sha256="0" * 64
    )
    assert handed_over(given).seed_command == "true"
    named = TemplateSeedInputs(seed_command="true", record_state_ref="core/shared/vyos-image-build#vyos_default_build")
    assert not handed_over(named).says_something
