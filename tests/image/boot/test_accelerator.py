import re
import shutil
from pathlib import Path

import pytest

from hyops_assets.image.boot import accelerator
from hyops_assets.image.boot.accelerator import MODELS, Accelerator, probe, qemu_value, run_guest
from hyops_assets.image.programs import ProgramFailed
from tests.sources import PACKAGES

needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed")


@needs_qemu
def test_the_tiny_guest_runs_under_emulation():
    run_guest(Accelerator("tcg", "test"), timeout=10)


@needs_qemu
@pytest.mark.parametrize("model", MODELS)
def test_it_runs_with_each_processor_that_is_offered(model):
    run_guest(Accelerator("tcg", "test", model), timeout=60)


@needs_qemu
def test_a_processor_that_hangs_or_crashes_the_guest_is_not_taken(monkeypatch):
    """A model that lacks what the guest needs resets it; QEMU does not know the other one at all."""
    for useless in ("486", "no-such-model"):
        monkeypatch.setattr(accelerator, "MODELS", (useless, "Nehalem"))
        accelerator.emulated_model.cache_clear()
        assert accelerator.emulated_model() == "Nehalem"
        monkeypatch.setattr(accelerator, "_KVM_DEVICE", Path("/no/such/device"))
        found = probe()
        assert found.qemu_arguments[-2:] == ("-cpu", "Nehalem")
        assert "with the processor Nehalem only" in found.reason
    accelerator.emulated_model.cache_clear()


def test_a_guest_that_hung_gets_the_most_modest_processor():
    assert Accelerator("tcg", "test").modest().qemu_arguments[-1] == MODELS[-1]
    assert Accelerator("kvm", "test").modest().qemu_arguments == Accelerator("kvm", "test").qemu_arguments


def test_what_a_person_reads_says_what_boots_cost_and_nothing_of_qemu_s_own_words() -> None:
    reason = "/dev/kvm exists, but a guest did not run: qemu-system-x86_64: ../kvm.c:3012: Assertion `ret == n' failed"
    outlook = Accelerator("tcg", reason).outlook
    assert outlook == "tcg: guests are emulated, each boot takes minutes: /dev/kvm exists, but a guest did not run"
    assert Accelerator("kvm", "a guest ran under KVM").outlook == "kvm: a guest ran under KVM"


def test_every_guest_of_the_tree_takes_its_processors_from_here():
    """A guest with arguments of its own runs where the gate hangs, or hangs where the gate runs."""
    tree = Path(__file__).parents[3]
    own = (
        Path(__file__).relative_to(tree),
        Path("hyops_assets/image/boot/accelerator.py"),
        # A machine of the lab's node has the processor that its configuration names, as at Proxmox.
        Path("hyops_lab/proxmox/guests.py"),
    )
    listed = [
        path.relative_to(tree) for top in (*PACKAGES, "tests", "benchmarks") for path in (tree / top).rglob("*.py")
    ]
    named = {
        path
        for path in listed
        if path not in own and re.search(r'"-(cpu|accel)", |"-smp", "\d', (tree / path).read_text())
    }
    assert named == set()


@pytest.mark.seconds
@needs_qemu
def test_a_guest_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(accelerator, "_BOOT_SECTOR", b"\xf4\xeb\xfd")
    with pytest.raises(ProgramFailed, match="did not end within 1 s"):
        run_guest(Accelerator("tcg", "test"), timeout=1)


@needs_qemu
def test_kvm_is_used_only_after_a_guest_ran_under_it():
    found = probe()
    if found.kind == "kvm":
        run_guest(found, timeout=5)
    else:
        assert found.reason


def test_without_a_device_the_reason_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(accelerator, "_KVM_DEVICE", tmp_path / "kvm")
    found = probe()
    assert found.kind == "tcg"
    assert "no " in found.reason


def test_a_device_that_is_only_a_name_is_not_an_accelerator(monkeypatch, tmp_path):
    fake = tmp_path / "kvm"
    fake.touch()
    monkeypatch.setattr(accelerator, "_KVM_DEVICE", fake)
    monkeypatch.setitem(accelerator._ARGUMENTS, "kvm", ("-accel", "no-such", "-cpu", "max"))
    found = probe()
    assert found.kind == "tcg"
    assert "no-such" in found.reason


def test_a_comma_in_a_path_is_doubled_for_qemu(tmp_path):
    assert qemu_value(tmp_path / "a,b").endswith("a,,b")
