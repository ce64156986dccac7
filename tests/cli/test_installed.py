"""The wheel alone: what comes with it is found without a checkout. `test_demo.py` takes it through the whole graph."""

from pathlib import Path

import pytest

from hyops_assets.image.shipped import canonical_helper, shipped
from tests.cli.installed import Installed, installed_wheel
from tests.cli.shell import CHECKOUT, environment

pytestmark = pytest.mark.seconds

ASK = (
    "from hyops_assets.image.shipped import canonical_helper, shipped\n"
    "print(canonical_helper())\n"
    "print(shipped('workspace.yaml'))\n"
    "print(shipped('modules'))\n"
    "print(shipped('tools/build/vyos/packer'))\n"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return installed_wheel(tmp_path_factory)


def test_the_wheel_carries_the_files_of_the_checkout_byte_for_byte(installed: Installed, tmp_path: Path) -> None:
    script = tmp_path / "ask.py"
    script.write_text(ASK)
    paths = [Path(line) for line in installed.python(tmp_path, script).splitlines()]
    assert all(path.is_relative_to(installed.bin.parent) for path in paths)
    assert paths[0].read_bytes() == canonical_helper().read_bytes()
    assert paths[1].read_bytes() == shipped("workspace.yaml").read_bytes()
    for inside, outside in zip(paths[2:], ("modules", "tools/build/vyos/packer"), strict=True):
        names = [path.relative_to(CHECKOUT / outside) for path in (CHECKOUT / outside).rglob("*") if path.is_file()]
        assert names
        assert all((inside / name).read_bytes() == (CHECKOUT / outside / name).read_bytes() for name in names)


def test_a_module_is_validated_anywhere_with_an_empty_home(installed: Installed, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.yml"
    inputs.write_text("record_version: 2026.03.03-0027-rolling\n")
    said = installed.hyops(
        environment(tmp_path),
        tmp_path,
        *("validate", "--env", "dev", "--module", "core/shared/vyos-image-build", "--inputs", str(inputs)),
    )
    assert "status=ok" in said
    assert not (tmp_path / ".hybridops").exists()
