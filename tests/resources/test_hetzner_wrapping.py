"""A record without raw.xz: its qcow2 is wrapped here on purpose, served for one seed, and nothing is left."""

import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import requests

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.progress import silent
from hyops_assets.contract.record import Record, Variant
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.image.programs import MissingProgram
from hyops_assets.image.variants.rawxz import VariantDiffers
from resources.sites.base import Order
from resources.sites.hetzner.errors import WrongSource
from resources.sites.hetzner.options import PaidSnapshot
from resources.sites.hetzner.place import Project
from resources.sites.hetzner.report import SeededImage
from resources.sites.hetzner.serving import NotReachable, Wrapper, require_public_url
from resources.sites.hetzner.source import OpenSource
from resources.sites.hetzner.staging import staged
from resources.sites.hetzner.wrapping import wrapped
from tests.contract.samples import contract
from tests.hetzner_lab import DISK, VERSION, Lab, hetzner_lab, make_record
from tests.hetzner_scene import assert_seeded


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


@pytest.fixture
def wrapper(tmp_path: Path) -> Wrapper:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Wrapper(f"http://127.0.0.1:{port}/seed", port, staging=tmp_path / "hyops-hetzner-seed")


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    raw, file = tmp_path / "disk.raw", tmp_path / f"vyos-1.5-{VERSION}.qcow2"
    raw.write_bytes(DISK)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, file], check=True)
    return file


def record_of(qcow2: Path) -> Record:
    content = qcow2.read_bytes()
    variant = Variant(file_name=qcow2.name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    return make_record().model_copy(update={"variants": {"qcow2": variant}})


def request_of(qcow2: Path, record: Record | None = None) -> SeedRequest:
    return SeedRequest(record=record or record_of(qcow2), url=qcow2.as_uri(), run_id="run-1", site="lab")


@pytest.mark.seconds
def wrapping(wrapper: Wrapper) -> OpenSource:
    return partial(wrapped, wrapper=wrapper, lab=True)


def test_a_qcow2_is_wrapped_served_written_and_read_back_and_nothing_is_left(
    lab: Lab, qcow2: Path, wrapper: Wrapper
) -> None:
    image = lab.seeder().seed(request_of(qcow2), open_source=wrapping(wrapper))

    assert_seeded(lab, image)
    assert image.readback_sha256 == make_record().disk.sha256
    assert not wrapper.staging.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{wrapper.port}/", timeout=5)


def test_without_being_asked_on_purpose_nothing_is_wrapped(lab: Lab, qcow2: Path) -> None:
    with pytest.raises(Refused, match=r"has no raw\.xz") as caught:
        lab.seeder().seed(request_of(qcow2))

    assert "seed_wrapper_public_base_url" in caught.value.hint
    assert lab.mutations() == 0


def test_a_record_with_a_raw_xz_is_never_wrapped(lab: Lab) -> None:
    request = lab.request()
    order = Order(
        contract=contract().model_copy(update={"record": request.record, "urls": {"raw.xz": request.url}}),
        options=PaidSnapshot(),
        handed_over=HandedOver(wrapper_base_url="http://127.0.0.1:1", wrapper_port=1),
        run_id=request.run_id,
        site=request.site,
        environment=request.environment,
        slot=lambda: pytest.fail("asked"),
        before_creation=lambda: None,
        progress=silent,
    )
    project = Project(lab.client(), lab.site, "lab", environment=request.environment, is_live=lambda run_id: False)

    seeded = project.seed(order)

    assert isinstance(seeded.report, SeededImage)
    assert_seeded(lab, seeded.report)
    assert seeded.facts["source"] == f"{request.url}; nothing was wrapped: the record has a raw.xz"


@pytest.mark.seconds
def test_a_public_url_that_leads_elsewhere_is_refused_before_anything_is_made(
    lab: Lab, qcow2: Path, wrapper: Wrapper
) -> None:
    for elsewhere in ("http://127.0.0.1:1", lab.objects.url):
        with pytest.raises(NotReachable):
            lab.seeder().seed(request_of(qcow2), open_source=wrapping(replace(wrapper, base_url=elsewhere)))
    assert lab.mutations() == 0
    assert not wrapper.staging.exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:18080",
        "http://10.1.2.3",
        "http://localhost",
        "http://[::1]:1",
        "ftp://example.org",
        "x",
        "http://u:p@example.org",
    ],
)
def test_a_url_that_no_other_host_can_follow_is_refused(url: str) -> None:
    with pytest.raises(NotReachable):
        require_public_url(url, lab=False)


def test_a_host_without_qemu_img_wraps_nothing(
    qcow2: Path, wrapper: Wrapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyops_assets.image.programs._PATH", str(tmp_path))

    with (
        pytest.raises(MissingProgram, match="qemu-img"),
        wrapped(request_of(qcow2), silent, wrapper=wrapper, lab=True),
    ):
        pytest.fail("wrapped")


@pytest.mark.seconds
def test_a_qcow2_with_other_bytes_or_another_disk_is_refused(qcow2: Path, wrapper: Wrapper, tmp_path: Path) -> None:
    record = record_of(qcow2)
    other = record.model_copy(update={"disk": record.disk.model_copy(update={"sha256": "0" * 64})})
    with (
        pytest.raises(VariantDiffers),
        wrapped(request_of(qcow2, other), silent, wrapper=wrapper, lab=True),
    ):
        pytest.fail("wrapped")
    with qcow2.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    with (
        pytest.raises(WrongSource),
        wrapped(request_of(qcow2, record), silent, wrapper=wrapper, lab=True),
    ):
        pytest.fail("wrapped")
    assert not wrapper.staging.exists()


def test_a_port_in_use_is_said(qcow2: Path, wrapper: Wrapper, tmp_path: Path) -> None:
    with (
        socket.create_server(("", wrapper.port)),
        pytest.raises(Refused, match=f"port {wrapper.port}"),
        wrapped(request_of(qcow2), silent, wrapper=wrapper, lab=True),
    ):
        pytest.fail("wrapped")


def test_what_a_killed_wrapper_left_is_removed_by_the_next_and_a_live_ones_is_not(tmp_path: Path) -> None:
    directory = tmp_path / "staging"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with staged(directory) as room:
            (room / "half.raw.xz").write_bytes(b"half")
            os.write(writing, b".")
            signal.pause()
        os._exit(0)
    assert os.read(reading, 1) == b"."
    with staged(directory):
        assert len(list(directory.iterdir())) == 2
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    with staged(directory) as mine:
        assert list(directory.iterdir()) == [mine]
    assert not directory.exists()


def test_a_staging_directory_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "staging"
    directory.mkdir()
    directory.chmod(0o755)
    with pytest.raises(Refused, match="is no directory that only user"), staged(directory):
        pytest.fail("entered")
    with suppress(OSError):
        directory.rmdir()
    directory.symlink_to(tmp_path)
    with pytest.raises(Refused), staged(directory):
        pytest.fail("entered")
