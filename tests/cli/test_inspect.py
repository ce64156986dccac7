"""`hyops inspect` as a user runs it: a process, its exit status, and what it prints."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.cli.inspect import NOT_ASKED, InspectOptions, run_inspect
from hyops_assets.contract.canonical import canonical_json
from hyops_assets.contract.record import Record, Variant
from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.inspection.questions import QUESTIONS
from hyops_assets.image.shipped import canonical_helper
from hyops_assets.image.variants import qcow2, rawxz
from hyops_lab.authority import Authority
from hyops_lab.running import running
from hyops_lab.static import StaticServer
from hyops_lab.trace import Trace
from tests.cli import shell
from tests.image.conftest import RELEASE, Workshop, workshop
from tests.image.inspection.bench import Bench

pytestmark = pytest.mark.seconds

__all__ = ["workshop"]

CHECKOUT = Path(__file__).parents[2]


def inspect(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return shell.hyops(shell.environment(Path("/nonexistent")) | environment, "inspect", *words)


def report(*words: str | Path, status: int = 0, **environment: str) -> dict:
    ran = inspect(*words, "--json", **environment)
    assert ran.returncode == status, ran.stderr
    return json.loads(ran.stdout)


def outcomes(found: dict, outcome: str) -> set[str]:
    return {answer["name"] for answer in found["answers"] if answer["outcome"] == outcome}


def refused(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode == 2, ran
    assert ran.stdout == ""
    assert "\n  next: " in ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr


@pytest.fixture(scope="module")
def shelf(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a disk in every format, and its record."""
    root = tmp_path_factory.mktemp("shelf")
    scratch = tmp_path_factory.mktemp("scratch")
    built: BuiltDisk = workshop.build(root / "disk.raw", scratch, helper=canonical_helper())
    name = f"vyos-1.5-{RELEASE}"
    encoded = {
        "qcow2": qcow2.encode(root / "disk.raw", root / f"{name}.qcow2"),
        "raw.xz": rawxz.encode(root / "disk.raw", root / f"{name}.raw.xz"),
    }
    record = Record(
        key="vyos-1.5",
        version=RELEASE,
        disk=built.disk,
        variants={
            format_: Variant(file_name=f"{name}.{format_}", size_bytes=found.size_bytes, sha256=found.sha256)
            for format_, found in encoded.items()
        },  # type: ignore[arg-type]
        iso_sha256=sha256_of_file(workshop.iso.iso),
        overlay_lock_sha256=built.lock.digest,
        helper_sha256=built.helper_sha256,
        lab=True,
    )
    (root / "record.json").write_bytes(canonical_json(record))
    return root


def variant(shelf: Path, format_: str) -> Path:
    return shelf / f"vyos-1.5-{RELEASE}.{format_}"


@pytest.mark.parametrize("format_", ["qcow2", "raw.xz", "raw"])
def test_a_disk_is_recognized_by_its_content_and_asked_everything(format_: str, shelf: Path, tmp_path: Path) -> None:
    misnamed = tmp_path / "picture.png"
    misnamed.symlink_to(shelf / "disk.raw" if format_ == "raw" else variant(shelf, format_))
    found = report(misnamed)
    assert (found["format"], found["release"], found["passed"]) == (format_, RELEASE, True)
    assert [answer["name"] for answer in found["answers"]] == list(QUESTIONS)
    assert outcomes(found, "not compared") == {"squashfs_is_the_isos", "disk_is_the_recorded_one"}


def test_with_record_and_iso_everything_is_compared(shelf: Path, workshop: Workshop) -> None:
    found = report(variant(shelf, "qcow2"), "--record", shelf / "record.json", "--iso", workshop.iso.iso)
    assert outcomes(found, "passed") == set(QUESTIONS)
    assert len(found["record_digest"]) == 64


def test_a_faulty_disk_ends_with_one_and_names_the_question(shelf: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "disk.raw", tmp_path)
    shutil.copyfile(shelf / "disk.raw", bench.disk)
    bench.patch(0x180, b"LILO")
    ran = inspect(bench.disk)
    assert ran.returncode == 1
    (line,) = [line for line in ran.stdout.splitlines() if "failed" in line and "starts_under_bios" in line]
    assert "GRUB's boot code" in line
    assert ran.stdout.splitlines()[-1].endswith("1 failed, 2 not compared")
    found = report(bench.disk, "--record", shelf / "record.json", status=1)
    assert outcomes(found, "failed") == {"starts_under_bios", "disk_is_the_recorded_one"}


def test_a_helper_that_is_not_the_records_is_reported(shelf: Path, tmp_path: Path) -> None:
    record = json.loads((shelf / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(record | {"helper_sha256": "0" * 64}))
    found = report(variant(shelf, "qcow2"), "--record", tmp_path / "record.json", status=1)
    assert outcomes(found, "failed") == {"helper_is_the_canonical_one"}


def test_a_bill_of_materials_is_written_whole(shelf: Path, tmp_path: Path) -> None:
    bill = tmp_path / "bill.json"
    report(variant(shelf, "qcow2"), "--record", shelf / "record.json", "--sbom", bill)
    names = {component["name"] for component in json.loads(bill.read_text())["components"]}
    assert {"cloud-init", "qemu-guest-agent", "base-files"} <= names
    assert [path.name for path in tmp_path.iterdir()] == ["bill.json"]


@pytest.mark.parametrize("former", ["record.json", "disk.raw"])
def test_packages_are_compared_with_a_former_disk(former: str, shelf: Path) -> None:
    ran = inspect(variant(shelf, "qcow2"), "--former", shelf / former)
    assert ran.returncode == 0, ran.stderr
    assert "0 added, 0 removed, 0 changed" in ran.stdout


def test_a_bill_of_an_unknown_record_is_refused(shelf: Path, tmp_path: Path) -> None:
    ran = inspect(variant(shelf, "qcow2"), "--sbom", tmp_path / "bill.json")
    assert "--record" in refused(ran)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds 0 bytes"),
        (b"x" * 1000, "no whole number"),
        (b"QFI\xfb" + bytes(500), "is refused"),
        (b"\xfd7zXZ\0" + bytes(500), "does not decode"),
    ],
    ids=["empty", "no sectors", "qcow2", "xz"],
)
def test_what_is_no_disk_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(content)
    assert said in refused(inspect(tmp_path / "disk"))


def test_a_disk_of_zeros_fails_with_every_reason(tmp_path: Path) -> None:
    with (tmp_path / "disk").open("wb") as file:
        file.truncate(1 << 20)
    found = report(tmp_path / "disk", status=1)
    assert found["release"] == "unknown"
    assert "partition_table" in outcomes(found, "failed")


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "disk.raw" in refused(inspect(tmp_path / "disk.raw"))
    assert "is no file" in refused(inspect(tmp_path))


def test_a_file_with_another_digest_is_refused(shelf: Path) -> None:
    ran = inspect(variant(shelf, "qcow2"), "--sha256", "0" * 64)
    assert "expected " + "0" * 64 in refused(ran)


def test_an_iso_of_another_build_is_refused(shelf: Path, workshop: Workshop, tmp_path: Path) -> None:
    other = tmp_path / workshop.iso.iso.name
    other.write_bytes(workshop.iso.iso.read_bytes() + b"x")
    ran = inspect(variant(shelf, "qcow2"), "--record", shelf / "record.json", "--iso", other)
    assert "was built from" in refused(ran)


def test_a_document_that_is_no_record_is_refused(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"schema": "other"}')
    assert "is no record" in refused(inspect(variant(shelf, "qcow2"), "--record", tmp_path / "x.json"))


@pytest.fixture(scope="module")
def public(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The shelf under an https URL, and the bundle that trusts who serves it."""
    root = tmp_path_factory.mktemp("public")
    authority = Authority(root / "authority")
    server = StaticServer("objects", shelf, Trace(root / "trace"), authority)
    with running(server):
        yield server.url, str(authority.bundle_file)


def test_a_url_is_fetched_compared_and_inspected(public: tuple[str, str], shelf: Path) -> None:
    url, bundle = public
    name = variant(shelf, "raw.xz").name
    found = report(f"{url}/{name}", "--record", f"{url}/record.json", SSL_CERT_FILE=bundle)
    assert (found["format"], found["passed"]) == ("raw.xz", True)
    assert outcomes(found, "not compared") == {"squashfs_is_the_isos"}
    ran = inspect(f"{url}/{name}", "--former", f"{url}/record.json", SSL_CERT_FILE=bundle)
    assert "0 added, 0 removed, 0 changed" in ran.stdout


def test_what_a_url_does_not_give_is_refused(public: tuple[str, str]) -> None:
    url, bundle = public
    assert "404" in refused(inspect(f"{url}/absent.qcow2", SSL_CERT_FILE=bundle))
    assert "scheme" in refused(inspect(f"{url}/disk.raw".replace("https", "http")))
    assert "certificate" in refused(inspect(f"{url}/disk.raw")).lower()


def test_a_url_that_answers_more_than_allowed_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate((1 << 30) + 512)
    authority = Authority(tmp_path / "authority")
    server = StaticServer("objects", tmp_path, Trace(tmp_path / "trace"), authority)
    with running(server):
        ran = inspect(f"{server.url}/large", "--most-gib", "1", SSL_CERT_FILE=str(authority.bundle_file))
    assert "has more than 1073741824 bytes" in refused(ran)


@pytest.mark.parametrize(
    "source",
    [
        "/proc/self/mem",
        "/proc/self/maps",
        "/dev/zero",
        "/dev",
        "/tmp/a\0b",
        "https://[::1",
        "https://127.0.0.1:1/a%00b",
        "https://127.0.0.1:99999/a",
        "https://xn--a/disk",
        "https://127.0.0.1:1/" + "a" * 300,
        "http://127.0.0.1:1/disk",
        "x://y",
    ],
)
def test_what_is_neither_a_file_nor_a_url_is_refused_in_two_lines(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for asked in (
        InspectOptions(source, scratch=tmp_path),
        InspectOptions(str(CHECKOUT / "README.md"), record=source),
    ):
        assert run_inspect(asked) == NOT_ASKED
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert "\n  next: " in printed.err
