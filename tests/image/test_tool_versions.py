import re

import pytest

from hyops_assets.image.programs import MissingProgram
from hyops_assets.image.tool_versions import tool_versions

TOOLS = ("xorriso", "unsquashfs", "mkfs.ext4", "debugfs", "e2fsck", "mkfs.fat", "mcopy", "grub-mkimage", "apt-get")


def test_every_tool_of_the_builder_tells_its_version() -> None:
    versions = tool_versions(TOOLS)
    assert sorted(versions) == sorted(TOOLS)
    assert all(re.match(r"\d+\.\d+", version) for version in versions.values())


def test_a_missing_tool_is_named_with_its_package() -> None:
    with pytest.raises(MissingProgram, match="no-such-tool is not installed"):
        tool_versions(["no-such-tool"])
