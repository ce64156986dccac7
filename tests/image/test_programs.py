import os
from pathlib import Path

import pytest

from hyops_assets.image import programs
from hyops_assets.image.programs import MissingProgram, ProgramFailed, run


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("xorriso", "xorriso"),
        ("unsquashfs", "squashfs-tools"),
        ("apt-get", "apt"),
        ("mkfs.ext4", "e2fsprogs"),
        ("grub-mkimage", "grub-common"),
        ("qemu-img", "qemu-utils"),
        ("xz", "xz-utils"),
    ],
)
def test_a_program_that_is_missing_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, package: str
) -> None:
    monkeypatch.setattr(programs, "_PATH", str(tmp_path))
    with pytest.raises(MissingProgram, match=rf"{program} is not installed\n.*apt-get install {package}$"):
        run([program, "--version"])


def test_a_program_that_is_waited_for_in_vain_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="sh did not end within"):
        run(["sh", "-c", "echo $$ > pid; exec sleep 60"], timeout=0.5, cwd=tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
