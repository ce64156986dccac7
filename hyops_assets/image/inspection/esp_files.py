"""The files of a FAT file system in a disk image, read through mtools as any user; and what EFI programs look like."""

from hyops_assets.image.bounded import Limits, run_bounded
from hyops_assets.image.budget import Budget, OverBudget
from hyops_assets.image.disk.esp import mtools_image
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.inspection.files import UnreadableFileSystem
from hyops_assets.image.programs import ProgramFailed

MOST_FILES = 512
MOST_PROGRAM_BYTES = 16 << 20
"""Of one EFI program. A signed GRUB with all of its modules has 4 MB."""
MOST_PROGRAMS_BYTES = 64 << 20
"""Of all EFI programs that are read from one partition."""
_ENVIRONMENT = {"MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"}
_MOST_LISTED_BYTES = 256 << 10
_DOS_MAGIC, _PE_AT, _PE_MAGIC, _AMD64 = b"MZ", 0x3C, b"PE\0\0", 0x8664
_SHIM_MARK = b"\nshim,"
"""A line of the section .sbat that every shim carries since 2021 (rhboot/shim, SBAT.md)."""


class EspFiles:
    """The files of an EFI system partition."""

    def __init__(self, slot: Slot, budget: Budget | None = None) -> None:
        """Args: where it lies, and what looking into it may take; a budget of its own by default."""
        self._slot = slot
        self._budget = budget or Budget()
        self._left_bytes = MOST_PROGRAMS_BYTES

    def names(self) -> list[str]:
        """Return the path of every file, such as `EFI/BOOT/BOOTX64.EFI`.

        Raises:
            UnreadableFileSystem: it is no FAT file system, a damaged one, or holds more files than any other.
        """
        listed = self._run(["mdir", "-i", mtools_image(self._slot), "-/", "-b", "-a", "::/"], _MOST_LISTED_BYTES)
        lines = [line.strip() for line in listed.decode(errors="replace").split("\n")]
        names = [line.removeprefix("::/") for line in lines if line and not line.endswith("/")]
        if len(names) > MOST_FILES:
            raise UnreadableFileSystem(f"the EFI partition lists {len(names)} files, more than {MOST_FILES}")
        return names

    def read(self, path: str) -> bytes:
        """Return the bytes of an EFI program.

        Raises:
            UnreadableFileSystem: there is no such file.
            OverBudget: it has more than `MOST_PROGRAM_BYTES`, or with those read before more than
                `MOST_PROGRAMS_BYTES`.
        """
        if self._left_bytes <= 0:
            raise OverBudget("all that starts from the EFI partition", f"{MOST_PROGRAMS_BYTES} bytes")
        most = min(MOST_PROGRAM_BYTES, self._left_bytes)
        content = self._run(["mcopy", "-i", mtools_image(self._slot), f"::/{path}", "-"], most)
        self._left_bytes -= len(content)
        return content

    def _run(self, words: list[str], most_bytes: int) -> bytes:
        limits = Limits(seconds=20, output_bytes=most_bytes)
        try:
            return run_bounded(words, env=_ENVIRONMENT, limits=limits, budget=self._budget).stdout
        except ProgramFailed as error:
            raise UnreadableFileSystem(f"the EFI partition cannot be read: {error.message}") from error


def is_efi_program(content: bytes) -> bool:
    """Tell whether bytes are a PE program for x86-64 (Microsoft, "PE Format")."""
    at = int.from_bytes(content[_PE_AT : _PE_AT + 4], "little")
    header = content[at : at + 6]
    machine = int.from_bytes(header[4:], "little")
    return content[:2] == _DOS_MAGIC and header[:4] == _PE_MAGIC and machine == _AMD64


def is_shim(content: bytes) -> bool:
    """Tell whether an EFI program is a shim: the first stage that firmware trusts under Secure Boot."""
    return is_efi_program(content) and _SHIM_MARK in content
