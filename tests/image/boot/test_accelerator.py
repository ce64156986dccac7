import shutil

import pytest

from hyops_assets.image.boot import accelerator
from hyops_assets.image.boot.accelerator import Accelerator, probe, qemu_value, run_guest
from hyops_assets.image.programs import ProgramFailed

needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed")


@needs_qemu
def test_the_tiny_guest_runs_under_emulation():
    run_guest(Accelerator("tcg", "test"), timeout=10)


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
    monkeypatch.setattr(accelerator, "_ARGUMENTS", {"kvm": ("-accel", "no-such", "-cpu", "max")})
    found = probe()
    assert found.kind == "tcg"
    assert "no-such" in found.reason


def test_a_comma_in_a_path_is_doubled_for_qemu(tmp_path):
    assert qemu_value(tmp_path / "a,b").endswith("a,,b")
