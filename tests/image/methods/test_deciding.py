from pathlib import Path

import pytest

from hyops_assets.contract.settings import BuildSettings
from hyops_assets.image.methods.deciding import deciding_files
from hyops_assets.image.methods.packer import PackerNotUsable


def test_native_follows_no_file_of_the_operators() -> None:
    assert deciding_files(BuildSettings()) == {}


def test_a_changed_template_is_another_recipe(tmp_path: Path) -> None:
    template = tmp_path / "own.pkr.hcl"
    settings = BuildSettings.model_validate({"method": "packer", "packer": {"template": str(template)}})
    with pytest.raises(PackerNotUsable):
        deciding_files(settings)
    template.write_text("one")
    before = deciding_files(settings)
    template.write_text("other")
    assert deciding_files(settings) != before


def test_a_changed_playbook_is_another_recipe(tmp_path: Path) -> None:
    (tmp_path / "qemu.yml").write_text("one")
    checkout = {"method": "vyos-vm-images", "vyos_vm_images": {"checkout": str(tmp_path)}}
    settings = BuildSettings.model_validate(checkout)
    before = deciding_files(settings)
    (tmp_path / "qemu.yml").write_text("other")
    assert deciding_files(settings) != before
