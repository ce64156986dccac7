import re

import pytest

from hyops_assets.image.programs import MissingProgram
from hyops_assets.image.tool_versions import library_versions, tool_versions

TOOLS = ("xorriso", "unsquashfs", "mkfs.ext4", "debugfs", "e2fsck", "mkfs.fat", "mcopy", "grub-mkimage", "apt-get")


def test_every_tool_of_the_builder_tells_its_version() -> None:
    versions = tool_versions(TOOLS)
    assert sorted(versions) == sorted(TOOLS)
    assert all(re.match(r"\d+\.\d+", version) for version in versions.values())


@pytest.mark.parametrize(("program", "version"), [("minisign", "0."), ("openssl", "3."), ("mksquashfs", "4.")])
def test_a_tool_that_is_asked_in_its_own_way_tells_its_version(program: str, version: str) -> None:
    assert tool_versions([program])[program].startswith(version)


def test_a_missing_tool_is_named_with_its_package() -> None:
    with pytest.raises(MissingProgram, match="no-such-tool is not installed"):
        tool_versions(["no-such-tool"])


def test_what_compresses_within_this_process_is_reported_too() -> None:
    assert set(library_versions()) == {"jinja2", "python", "zlib"}
    assert all(version[0].isdigit() for version in library_versions().values())
