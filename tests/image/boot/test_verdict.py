"""What consoles say. `consoles/` holds those of real boots, one per damage: `python -m tests.image.boot.record`."""

import re

import pytest

from hyops_assets.image.boot.nocloud import MARK, Challenge
from hyops_assets.image.boot.verdict import Failed, Firmware, Proven, verdict, wrong_facts
from tests.conftest import LOOKALIKE_RELEASE
from tests.image.boot.damage import DAMAGES, OTHER_RELEASE
from tests.image.boot.record import CONSOLES, NONCE

GOOD = {
    "stage": "final",
    "root": "overlay",
    "union": f"/boot/{LOOKALIKE_RELEASE}",
    "upper": f"/boot/{LOOKALIKE_RELEASE}/rw",
    "release": LOOKALIKE_RELEASE,
    "firmware": "bios",
    "commands": "applied",
    "default": LOOKALIKE_RELEASE,
}
ASKED = Challenge(NONCE)
FOUND = {
    "no-work-directory": r"'\(initramfs\)' after 'vyos-union: .*/work/work is missing on the file system",
    "rw-elsewhere": r"'\(initramfs\)' after 'vyos-union: .*/rw is missing on the file system",
    "other-label-bios": r"'Minimal BASH-like .*' after 'error: no such device: persistence",
    "other-label-uefi": r"'Minimal BASH-like .*' after 'error: no such device: persistence",
    "entry-of-another-release": rf"after 'vyos-union: .*/{OTHER_RELEASE}\.squashfs is missing",
    "default-names-no-entry": f"^default: expected {LOOKALIKE_RELEASE}, found none$",
    "no-initrd": r"'Kernel panic - not syncing: VFS: Unable to mount root fs",
    "no-squashfs": rf"after 'vyos-union: .*/{LOOKALIKE_RELEASE}\.squashfs is missing",
    "emergency": r"'You are in emergency mode'",
    "no-menu": r"'Minimal BASH-like line editing is supported'$",
    "empty-bios": r"'Boot failed: not a bootable disk'",
    "empty-uefi": r"'(?:No bootable option or device was found|Shell>)'",
}
"""By the damage of the disk: what the verdict says."""


def recorded(name: str) -> str:
    return (CONSOLES / f"{name}.txt").read_text()


def judged(console: str, *, challenge: Challenge = ASKED, firmware: Firmware = "bios") -> Proven | Failed | None:
    return verdict(console, challenge, release=LOOKALIKE_RELEASE, firmware=firmware)


def test_every_damage_has_its_console_and_its_reason() -> None:
    assert {file.stem for file in CONSOLES.iterdir()} == set(DAMAGES) == {"sound", *FOUND}


@pytest.mark.parametrize("name", FOUND)
def test_a_damage_is_found_and_named(name: str) -> None:
    found = judged(recorded(name), firmware=DAMAGES[name].firmware)
    assert isinstance(found, Failed)
    assert re.search(FOUND[name], found.why), found.why


@pytest.mark.parametrize("name", FOUND)
def test_until_the_damage_shows_nothing_is_decided(name: str) -> None:
    """Wherever what was read so far ends: no beginning of a console says anything else."""
    console, firmware = recorded(name), DAMAGES[name].firmware
    said = [judged(console[:end], firmware=firmware) for end in range(0, len(console), 7)]
    assert said[0] is None
    assert set(said) <= {None, judged(console, firmware=firmware)}


def test_a_sound_disk_has_proved_itself() -> None:
    found = judged(recorded("sound"))
    assert isinstance(found, Proven)
    assert found.facts["upper"] == f"/boot/{LOOKALIKE_RELEASE}/rw"


def test_a_proof_under_the_other_firmware_is_no_proof() -> None:
    assert judged(recorded("sound"), firmware="uefi") == Failed("firmware: expected uefi, found bios")


def test_the_proof_of_another_boot_is_not_believed() -> None:
    assert judged(recorded("sound"), challenge=Challenge()) is None


def test_a_forged_proof_is_not_believed() -> None:
    facts = " ".join(f"{name}={value}" for name, value in GOOD.items())
    assert judged(f"\n{MARK} {'0' * 64} {facts}\n") is None


def test_a_proof_with_one_fact_changed_is_not_believed() -> None:
    console = recorded("default-names-no-entry")
    assert judged(console.replace("default=none", f"default={LOOKALIKE_RELEASE}")) is None


def test_a_proof_that_the_kernel_wrote_into_is_read_from_its_second_copy() -> None:
    console = recorded("sound")
    first = console.index(f"{MARK} ")
    torn = f"{console[: first + 40]}[   71.0] a message\n{console[first + 40 :]}"
    assert isinstance(judged(torn), Proven)
    assert judged(torn[: torn.rindex(MARK)]) is None


@pytest.mark.parametrize(
    "text",
    [
        "You are in rescue mode",
        "Give root password for maintenance",
        "No bootable device",
        "No bootable option or device was found",
        "Shell> ",
    ],
)
def test_other_known_failures_end_the_wait(text: str) -> None:
    assert judged(f"on its way\n{text}\n") == Failed(f"the console shows {text.strip()!r}")


def test_grubs_rescue_shell_is_named_with_the_error_that_led_there() -> None:
    """Of a loader of the distribution's own: ours has everything that it needs in its core image."""
    found = judged("GRUB loading.\nerror: unknown filesystem.\nEntering rescue mode...\ngrub rescue> ")
    assert found == Failed("the console shows 'grub rescue>' after 'error: unknown filesystem.'")


@pytest.mark.parametrize("wrong", sorted(GOOD))
def test_every_fact_of_the_proof_must_hold(wrong: str) -> None:
    assert wrong_facts(GOOD, release=LOOKALIKE_RELEASE, firmware="bios") == []
    (found,) = wrong_facts({**GOOD, wrong: "other"}, release=LOOKALIKE_RELEASE, firmware="bios")
    assert found.startswith(f"{wrong}: expected")
    missing = {name: value for name, value in GOOD.items() if name != wrong}
    assert "found nothing" in wrong_facts(missing, release=LOOKALIKE_RELEASE, firmware="bios")[0]
