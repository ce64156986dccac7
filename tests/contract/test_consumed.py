import pytest

from hyops_assets.contract.consumed import failed_since
from hyops_assets.contract.references import IMAGE_BUILD, StateRef
from hyops_assets.contract.state import ModuleState

BUILD = StateRef(IMAGE_BUILD, "vyos_default_build")
SLOW = "check boots_bios did not pass: the disk did not boot under BIOS: no proof"


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        ("no room", "failed: no room; it"),
        (f"{SLOW}\nconsole, last lines:\n[ OK ] Reached target\n", f"failed: {SLOW}; it"),
        ("qemu-img failed:\nqemu-img: no space\nmore", "failed: qemu-img failed: qemu-img: no space; it"),
        ("\n", "failed; it"),
    ],
)
def test_the_cause_of_a_failed_run_is_reported_in_one_line_without_the_console(error: str, reported: str) -> None:
    state = ModuleState.model_validate(
        {
            "module_ref": IMAGE_BUILD,
            "run_id": "r",
            "status": "error",
            "updated_at": "2026-11-22T00:00:00Z",
            "outputs": {"record_version": "2026.03.03-0027-rolling"},
            "last_error": error,
        }
    )
    assert reported in failed_since(BUILD, state)
    assert "\n" not in failed_since(BUILD, state)
