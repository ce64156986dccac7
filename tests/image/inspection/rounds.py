"""Which faults can be planted on one disk together, so that an inspection tells each of them by its own finding."""

from tests.image.inspection.faults import FAULTS, UNREADABLE

_ALONE = UNREADABLE | {
    # What else stands on the disk cannot be read, or not be written.
    "an EFI partition of another type",
    "an EFI partition that is too small",
    "an MBR that protects nothing",
    "a file that fills the disk",
    "no configuration at all",
    "a configuration with a brace too many",
    "a configuration that is cut off",
}
_OF_ONE_FILE = (
    {"a shim without GRUB", "a shim whose GRUB finds no menu"}
    | {"an EFI loader for another machine", "an EFI loader that is no program", "no EFI loader"},
    {"a password in clear that cloud-init sets", "a list of passwords for cloud-init", "a key that cloud-init adds"}
    | {"a password that cloud-init sets", "state of a cloud-init that keeps it elsewhere"},
    {"a password in clear", "a password in clear, all on one line", "a configuration with a public key"}
    | {"the login of every ISO, because the overlay does not hide it", "a hardware address"}
    | {"a file that shows another one's bytes"},
    {"after a first boot, a configuration with the login of every ISO", "after a first boot, a password in clear"}
    | {"after a first boot, a configuration with a public key", "after a first boot, a hardware address"},
)


def rounds() -> list[list[str]]:
    """Return lists of faults: of each question at most one, of those that change the same file at most one."""
    made: list[list[str]] = []
    for fault in FAULTS:
        if fault not in _ALONE:
            place = next((one for one in made if not any(_clash(fault, other) for other in one)), None)
            if place is None:
                made.append([fault])
            else:
                place.append(fault)
    return made + [[fault] for fault in FAULTS if fault in _ALONE]


def _clash(fault: str, other: str) -> bool:
    same_question = FAULTS[fault][0] == FAULTS[other][0]
    return same_question or any({fault, other} <= together for together in _OF_ONE_FILE)
