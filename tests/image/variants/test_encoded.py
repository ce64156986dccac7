from pathlib import Path

import pytest

from hyops_assets.contract.record import MOST_DISK_BYTES
from hyops_assets.image.variants.disk_source import format_of
from hyops_assets.image.variants.encoded import NotADisk, require_disk_size


@pytest.mark.parametrize("size", [0, -512, 511, 513, MOST_DISK_BYTES + 512])
def test_a_size_that_no_disk_has_is_refused(size: int) -> None:
    with pytest.raises(NotADisk, match=str(size)):
        require_disk_size(size, "disk.raw")


@pytest.mark.parametrize(
    ("head", "format_"),
    [(b"QFI\xfb", "qcow2"), (b"\xfd7zXZ\x00", "raw.xz"), (b"", "raw"), (b"QFI", "raw"), (bytes(512), "raw")],
)
def test_a_format_is_recognized_by_the_first_bytes(tmp_path: Path, head: bytes, format_: str) -> None:
    (tmp_path / "disk").write_bytes(head)
    assert format_of(tmp_path / "disk") == format_
