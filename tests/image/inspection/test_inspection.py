import re
from pathlib import Path

import pytest

from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.inspection.questions import QUESTIONS, Expected, inspect
from hyops_assets.image.programs import run
from hyops_lab.iso_layout import KERNEL_VERSION
from tests.image.conftest import RELEASE
from tests.image.inspection.bench import IMAGE, UPPER, Bench, expected, failed, lose_a_cluster
from tests.image.inspection.faults import DEFAULT_CONFIG, FAULTS, PASSWORD_LINE, UNREADABLE
from tests.image.inspection.rounds import rounds

pytestmark = pytest.mark.seconds

PROMISED_ONLY = {"disk_is_the_recorded_one", "container_is_sound"}
"""Questions about more than the raw disk; each has a test of its own here."""


@pytest.fixture
def bench(built: tuple[Path, BuiltDisk], tmp_path: Path) -> Bench:
    run(["cp", "--sparse=auto", built[0], tmp_path / "disk.raw"])
    return Bench(tmp_path / "disk.raw", tmp_path)


def test_a_built_disk_passes_every_question(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    findings = inspect(built[0], expected(built[1], disk=built[1].disk), tmp_path)
    assert {finding.name: finding.detail for finding in findings if not finding.passed} == {}
    assert [finding.name for finding in findings] == list(QUESTIONS)
    assert list(tmp_path.iterdir()) == []


def test_looking_changes_nothing(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    disk = built[0]
    before = disk.stat()
    disk.chmod(0o400)
    try:
        inspect(disk, expected(built[1]), tmp_path)
    finally:
        disk.chmod(0o644)
    assert disk.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("faults", rounds(), ids=lambda faults: faults[0])
def test_each_of_several_faults_is_reported_by_its_own_finding(
    faults: list[str], bench: Bench, built: tuple[Path, BuiltDisk]
) -> None:
    for fault in faults:
        FAULTS[fault][1](bench)
    found = failed(inspect(bench.disk, expected(built[1]), bench.scratch))
    expected_names = {FAULTS[fault][0] for fault in faults}
    assert expected_names <= set(found)
    if not UNREADABLE & set(faults):
        assert set(found) == expected_names


def test_every_fault_is_planted_once() -> None:
    assert sorted(fault for faults in rounds() for fault in faults) == sorted(FAULTS)


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_reported_by_its_own_finding(fault: str, bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    name, plant = FAULTS[fault]
    plant(bench)
    found = failed(inspect(bench.disk, expected(built[1]), bench.scratch))
    assert name in found
    if fault not in UNREADABLE:
        assert found == [name]


def test_every_question_has_a_planted_fault() -> None:
    assert {name for name, _ in FAULTS.values()} == set(QUESTIONS) - PROMISED_ONLY


def test_one_other_byte_is_seen_by_the_disks_digest(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    bench.patch(600 * 512, b"\x01")
    found = inspect(bench.disk, expected(built[1], disk=built[1].disk), bench.scratch)
    assert failed(found) == ["disk_is_the_recorded_one"]
    assert built[1].disk.sha256 in found[-1].detail


def test_a_qcow2_that_lost_a_cluster_is_reported(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    container = bench.qcow2()
    lose_a_cluster(container)
    found = inspect(bench.disk, expected(built[1]), bench.scratch, container=container)
    assert failed(found) == ["container_is_sound"]
    assert "'leaks': 1" in found[0].detail


def test_a_file_with_other_bytes_than_promised_is_reported(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    promised = expected(built[1], disk=built[1].disk, container_sha256="0" * 64)
    found = inspect(bench.disk, promised, bench.scratch, container=bench.qcow2())
    assert failed(found) == ["disk_is_the_recorded_one"]


def test_what_no_record_promises_is_not_compared_and_is_no_pass(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    found = inspect(built[0], Expected(RELEASE), tmp_path)
    open_ = {finding.name for finding in found if finding.outcome == "not compared"}
    assert open_ == {"squashfs_is_the_isos", "helper_is_the_canonical_one", "disk_is_the_recorded_one"}
    assert not any(finding.passed for finding in found if finding.name in open_)
    assert failed(found) == []


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ("squashfs_sha256", "squashfs_is_the_isos"),
        ("helper_sha256", "helper_is_the_canonical_one"),
    ],
)
def test_another_digest_than_promised_is_reported(
    changed: str, name: str, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    found = inspect(built[0], expected(built[1], **{changed: "0" * 64}), tmp_path)
    assert failed(found) == [name]
    assert "0" * 64 in next(finding.detail for finding in found if finding.name == name)


def test_a_disk_of_another_release_is_reported(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    found = failed(inspect(built[0], expected(built[1], release="2026.03"), tmp_path))
    assert "holds_one_image" in found
    assert "default_entry_starts_the_image" in found


def test_either_console_is_good_where_none_is_promised(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    assert failed(inspect(built[0], expected(built[1], console=None, console_speed=None), tmp_path)) == []


def test_a_file_that_is_no_disk_fails_every_question(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    findings = inspect(tmp_path / "empty", expected(built[1], disk=built[1].disk), tmp_path)
    assert failed(findings) == [name for name in QUESTIONS if name != "container_is_sound"]


def test_a_detail_holds_no_password(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    bench.replace(DEFAULT_CONFIG, PASSWORD_LINE, 'plaintext-password "hunter2"')
    bench.write(f"{UPPER}/etc/shadow", "root:$6$salt$hash:20000::::::\n")
    details = " ".join(finding.detail for finding in inspect(bench.disk, expected(built[1]), bench.scratch))
    assert "user root has a password" in details
    assert "user vyos" in details
    assert not re.search(r"hunter2|\$6\$", details)


def test_every_question_is_a_sentence() -> None:
    assert all(question.endswith(".") and len(question) > 30 for question in QUESTIONS.values())


@pytest.mark.parametrize("mark", ["trusted.overlay.opaque", "user.overlay.opaque"])
def test_an_opaque_directory_hides_what_the_iso_has_there(
    mark: str, bench: Bench, built: tuple[Path, BuiltDisk]
) -> None:
    bench.debugfs(f"rm {DEFAULT_CONFIG}")
    assert failed(inspect(bench.disk, expected(built[1]), bench.scratch)) == ["no_default_credentials"]
    bench.mark(f"{UPPER}/usr/share/vyos", mark, "y")
    assert failed(inspect(bench.disk, expected(built[1]), bench.scratch)) == ["configuration_parses"]


def test_a_disk_whose_name_programs_would_part_is_inspected(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    named = tmp_path / "disk?offset=0@@1.raw"
    named.symlink_to(built[0])
    assert failed(inspect(named, expected(built[1]), tmp_path)) == []


def test_a_detail_changes_no_terminal(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    bench.make_directories(f"{UPPER}/etc/ssh")
    bench.debugfs(f"cd {UPPER}/etc/ssh", "mknod ssh_host_\x1b]0;planted_key p")
    details = [finding.detail for finding in inspect(bench.disk, expected(built[1]), bench.scratch)]
    assert all(letter.isprintable() or letter == "\n" for detail in details for letter in detail)
    assert any("\\x1b" in detail for detail in details)


@pytest.mark.parametrize(
    "target", ["vmlinuz-{kernel}", f"{IMAGE}/vmlinuz-{{kernel}}", "./../{release}/vmlinuz-{kernel}"]
)
def test_a_kernel_that_is_a_link_as_in_vyos_own_boot_directory_is_the_isos(
    target: str, bench: Bench, built: tuple[Path, BuiltDisk]
) -> None:
    link = target.format(kernel=KERNEL_VERSION, release=RELEASE)
    bench.debugfs(f"rm {IMAGE}/vmlinuz", f"symlink {IMAGE}/vmlinuz {link}")
    assert failed(inspect(bench.disk, expected(built[1]), bench.scratch)) == []


@pytest.mark.parametrize("target", ["vmlinuz", "nowhere", "/etc/passwd"])
def test_a_link_that_leads_to_no_kernel_is_reported(target: str, bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    bench.debugfs(f"rm {IMAGE}/vmlinuz", f"symlink {IMAGE}/vmlinuz {target}")
    found = failed(inspect(bench.disk, expected(built[1]), bench.scratch))
    assert {"kernel_is_the_isos", "default_entry_starts_the_image"} <= set(found)
