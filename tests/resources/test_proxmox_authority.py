import os
from pathlib import Path

import pytest

from hyops_lab.authority import Authority
from resources.sites.proxmox.errors import NotTrusted
from resources.sites.proxmox.no_answer import require_authority


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        *(("missing", "is no file"), ("directory", "is no file"), ("pipe", "is no file"), ("device", "is no file")),
        *(("empty", "holds no certificate in PEM"), ("garbage", "holds no certificate in PEM")),
    ],
)
def test_a_ca_file_without_a_certificate_is_named_with_where_to_copy_it_from(
    tmp_path: Path, kind: str, why: str
) -> None:
    file = tmp_path / "pve-root-ca.pem"
    if kind == "directory":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind != "missing":
        file.write_text("garbage\n" if kind == "garbage" else "")
    with pytest.raises(NotTrusted, match=f"ca_file {file} {why}") as caught:
        require_authority(file)
    assert "/etc/pve/pve-root-ca.pem" in caught.value.hint


def test_an_authority_s_certificate_is_taken(tmp_path: Path) -> None:
    require_authority(Authority(tmp_path / "ca").certificate_file)
