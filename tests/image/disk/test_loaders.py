from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.image.disk.grub import GrubFailed, Menu
from hyops_assets.image.disk.loaders import KEY_MANAGERS, SIGNED_GRUB, SIGNED_SHIM, efi_files, embedded_prefix
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs
from hyops_lab.grub_modules import grub_modules

CORE, SHIM, KEY_MANAGER = b"core", b"shim", b"key manager"
CONFIGURATION = Menu().early_configuration


def made_grub(directory: Path, modules: Path, prefix: str) -> bytes:
    """A GRUB with a directory of its own choice, as a signer makes one."""
    program = directory / "grub.efi"
    run(
        [
            "grub-mkimage",
            "-O",
            "x86_64-efi",
            "-d",
            modules / "x86_64-efi",
            "-p",
            prefix,
            "-o",
            program,
            "normal",
            "fat",
        ]
    )
    return program.read_bytes()


@pytest.fixture(scope="module")
def grub(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made_grub(tmp_path_factory.mktemp("grub"), grub_modules(cache), "/EFI/debian")


@pytest.fixture
def squashfs(tmp_path: Path) -> Callable[[dict[str, bytes]], Squashfs]:
    def make(files: dict[str, bytes]) -> Squashfs:
        for path, content in {"/etc/hostname": b"vyos\n", **files}.items():
            at = tmp_path / "root" / path.lstrip("/")
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(content)
        run(["mksquashfs", tmp_path / "root", tmp_path / "made.squashfs", "-quiet", "-no-progress", "-all-root"])
        return Squashfs(tmp_path / "made.squashfs")

    return make


def test_a_grub_tells_in_which_directory_it_looks_for_its_menu(grub: bytes) -> None:
    assert embedded_prefix(grub) == "/EFI/debian"


def test_an_iso_with_shim_gets_it_in_front_of_its_signed_grub(
    grub: bytes, squashfs: Callable[[dict[str, bytes]], Squashfs]
) -> None:
    made = squashfs({SIGNED_SHIM: SHIM, SIGNED_GRUB: grub, KEY_MANAGERS[0]: KEY_MANAGER})
    files = efi_files(made, CORE, CONFIGURATION)
    stub = files["EFI/debian/grub.cfg"]
    assert stub.decode().startswith(CONFIGURATION)
    assert stub.endswith(b"configfile $prefix/grub.cfg\n")
    assert files == {
        "EFI/BOOT/BOOTX64.EFI": SHIM,
        "EFI/BOOT/grubx64.efi": grub,
        "EFI/BOOT/mmx64.efi": KEY_MANAGER,
        "EFI/BOOT/grub.cfg": stub,
        "EFI/VyOS/shimx64.efi": SHIM,
        "EFI/VyOS/grubx64.efi": grub,
        "EFI/VyOS/mmx64.efi": KEY_MANAGER,
        "EFI/VyOS/grub.cfg": stub,
        "EFI/debian/grub.cfg": stub,
    }


def test_an_unsigned_key_manager_serves_where_no_other_is_there(
    grub: bytes, squashfs: Callable[[dict[str, bytes]], Squashfs]
) -> None:
    files = efi_files(squashfs({SIGNED_SHIM: SHIM, SIGNED_GRUB: grub, KEY_MANAGERS[1]: KEY_MANAGER}), CORE, "")
    assert files["EFI/BOOT/mmx64.efi"] == KEY_MANAGER


@pytest.mark.parametrize("present", [{}, {SIGNED_SHIM: SHIM}, {SIGNED_GRUB: b"grub"}])
def test_an_iso_without_the_signed_pair_starts_by_our_own_core(
    present: dict[str, bytes], squashfs: Callable[[dict[str, bytes]], Squashfs]
) -> None:
    assert efi_files(squashfs(present), CORE, CONFIGURATION) == {
        "EFI/BOOT/BOOTX64.EFI": CORE,
        "EFI/VyOS/grubx64.efi": CORE,
    }


@pytest.mark.parametrize("prefix", ["(hd0,gpt2)/EFI/debian", "EFI/debian", "/EFI/../debian"])
def test_a_grub_that_looks_elsewhere_is_refused(prefix: str, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(GrubFailed, match="looks for its menu in"):
        embedded_prefix(made_grub(tmp_path, grub_modules(cache), prefix))


@pytest.mark.parametrize("program", [b"", b"MZ", bytes(4096), b"MZ".ljust(0x3C, b"\0") + b"\xff\xff\xff\xff" * 9])
def test_what_is_no_efi_program_is_refused(program: bytes) -> None:
    with pytest.raises(GrubFailed, match=r"grubx64.efi.signed cannot be used: it is no EFI program"):
        embedded_prefix(program)


def test_a_cut_grub_is_refused(grub: bytes) -> None:
    with pytest.raises(GrubFailed, match="cannot be used"):
        embedded_prefix(grub[: grub.index(b"mods") + 600])


@given(at=st.integers(min_value=0), byte=st.binary(min_size=1, max_size=8))
def test_a_damaged_grub_is_read_or_refused_and_nothing_else(grub: bytes, at: int, byte: bytes) -> None:
    # The headers and the list of modules: where a wrong number could lead astray.
    places = [*range(0x400), *range(grub.index(b"mimg"), grub.index(b"mimg") + 64)]
    start = places[at % len(places)]
    with suppress(GrubFailed):
        assert embedded_prefix(grub[:start] + byte + grub[start + len(byte) :]).startswith("/")
