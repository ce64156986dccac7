from pathlib import Path

import pytest

from hyops_assets.image.build import method_inputs
from hyops_assets.image.methods.packer import PackerNotUsable
from hyops_assets.settings.build import BuildSettings


def test_native_follows_no_file_of_the_operators() -> None:
    assert method_inputs(BuildSettings()) == {}


def test_a_changed_template_is_another_recipe(tmp_path: Path) -> None:
    template = tmp_path / "own.pkr.hcl"
    settings = BuildSettings.model_validate({"method": "packer", "packer": {"template": str(template)}})
    with pytest.raises(PackerNotUsable):
        method_inputs(settings)
    template.write_text("one")
    before = method_inputs(settings)
    template.write_text("other")
    assert method_inputs(settings) != before


def test_a_changed_playbook_is_another_recipe(tmp_path: Path) -> None:
    (tmp_path / "qemu.yml").write_text("one")
    checkout = {"method": "vyos-vm-images", "vyos_vm_images": {"checkout": str(tmp_path)}}
    settings = BuildSettings.model_validate(checkout)
    before = method_inputs(settings)
    (tmp_path / "qemu.yml").write_text("other")
    assert method_inputs(settings) != before


def test_another_command_is_another_recipe_and_where_it_runs_or_how_long_is_not() -> None:
    def inputs(**changes: object) -> dict[str, str]:
        command = {"build_command": "make disk", "build_workdir": "/srv/build", **changes}
        return method_inputs(BuildSettings.model_validate({"method": "command", "command": command}))

    assert inputs(build_workdir="/srv/other", timeout_seconds=9) == inputs()
    assert inputs(build_command="make it") != inputs()
    assert inputs(complete=True) != inputs()
    assert "make disk" not in str(inputs())
