"""The real ansible-playbook, on playbooks of our own that have the interface of vyos-vm-images."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.image.intake.iso import SQUASHFS
from hyops_assets.image.methods.method import BuildFailed, BuildRequest, MadeDisk
from hyops_assets.image.methods.vyos_vm_images import (
    GrubSkipped,
    IsoLacksMd5Sums,
    PlaybookNotUsable,
    SwallowedError,
    build_with_vm_images,
    checkout_digest,
    require_root,
)
from hyops_assets.image.programs import ProgramFailed, run
from tests.image.conftest import RELEASE
from tests.image.methods.conftest import RequestFor

PLAYBOOKS = Path(__file__).parent / "playbooks"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="vyos-vm-images needs root")


@pytest.fixture(scope="module")
def images(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the playbooks hand out: a good disk, and one on which GRUB was skipped."""
    directory = tmp_path_factory.mktemp("images")
    run(["qemu-img", "convert", "-O", "qcow2", installed, directory / "good.qcow2"])
    skipped = directory / "skipped.raw"
    run(["cp", "--sparse=always", installed, skipped])
    with skipped.open("r+b") as file:
        file.write(bytes(440))
    run(["qemu-img", "convert", "-O", "qcow2", skipped, directory / "grub-skipped.qcow2"])
    return directory


@pytest.fixture
def build(tmp_path: Path, request_for: RequestFor, images: Path) -> Any:
    def built(playbook: str, *, md5_sums: bool = True, **changes: object) -> MadeDisk:
        checkout = tmp_path / "checkout"
        shutil.copytree(PLAYBOOKS, checkout)
        (checkout / "images").symlink_to(images)
        configured = {"checkout": str(checkout), "playbook": playbook}
        order = request_for(tmp_path, method="vyos-vm-images", vyos_vm_images=configured, **changes)
        return build_with_vm_images(with_md5_sums(order, tmp_path) if md5_sums else order)

    return built


def with_md5_sums(order: BuildRequest, directory: Path) -> BuildRequest:
    """An ISO of before 2025, which carried both listings."""
    root = directory / "iso"
    (root / SQUASHFS).parent.mkdir(parents=True)
    (root / SQUASHFS).symlink_to(order.opened.squashfs.path)
    (root / "md5sum.txt").write_text("")
    squashfs = type(order.opened.squashfs)(root / SQUASHFS)
    return replace(order, opened=replace(order.opened, squashfs=squashfs))


@as_root
def test_the_disk_of_a_good_play_becomes_an_image(build: Any, tmp_path: Path) -> None:
    made = build("qemu.yml")
    assert (tmp_path / "disk.raw").stat().st_size >= 512 << 20
    assert made.facts["accelerator"] == "none"
    assert (made.facts["reproducible"], made.facts["publishable"]) == (False, True)
    assert made.facts["checkout_sha256"] == checkout_digest(tmp_path / "checkout")


@as_root
def test_the_play_gets_its_variables_as_strings_and_never_another_version(build: Any, tmp_path: Path) -> None:
    build("qemu.yml")
    told = json.loads((tmp_path / "checkout" / "variables.json").read_text())
    assert Path(told["iso_local"]).name == f"vyos-{RELEASE}-generic-amd64.iso"
    assert (told["disk_size"], told["cloud_init"], told["grub_console"]) == ("1", "false", "serial")
    assert told["vyos_version"] == RELEASE


@as_root
def test_a_play_that_skips_grub_is_refused_by_that_name_although_it_is_green(build: Any, tmp_path: Path) -> None:
    with pytest.raises(GrubSkipped, match=rf"(?s)GRUB.*skips it in silence for {RELEASE}"):
        build("grub-skipped.yml")
    assert not (tmp_path / "disk.raw").exists()


@as_root
def test_a_failure_that_the_play_rescues_is_refused_although_it_ends_well(build: Any) -> None:
    with pytest.raises(SwallowedError, match=r"1 failed tasks.*no such suite"):
        build("rescued.yml")


@as_root
def test_a_rescued_failure_counts_even_where_a_disk_was_left(build: Any) -> None:
    with pytest.raises(SwallowedError):
        build("rescued-with-disk.yml")


@as_root
def test_a_play_that_leaves_nothing_is_refused_and_an_earlier_runs_disk_is_not_taken(
    build: Any, tmp_path: Path, images: Path
) -> None:
    stale = tmp_path / f"vyos-{RELEASE}-1G-qemu.qcow2"
    shutil.copyfile(images / "good.qcow2", stale)
    with pytest.raises(BuildFailed, match=r"left \[\] in vyos_images_dir"):
        build("nothing.yml")


@as_root
def test_a_play_that_fails_is_quoted(build: Any) -> None:
    with pytest.raises(ProgramFailed, match=r"(?s)exit status 2.*kpartx"):
        build("failing.yml")


@as_root
def test_an_iso_without_md5_sums_is_refused_before_the_play(build: Any, tmp_path: Path) -> None:
    with pytest.raises(IsoLacksMd5Sums, match=r"carries no md5sum\.txt"):
        build("qemu.yml", md5_sums=False)
    assert not (tmp_path / "checkout" / "variables.json").exists()


@as_root
def test_a_disk_of_no_whole_gib_is_refused(build: Any) -> None:
    with pytest.raises(PlaybookNotUsable, match="whole GiB"):
        build("qemu.yml", disk_bytes=1536 << 20)


def test_a_checkout_that_is_none_is_refused(build: Any) -> None:
    with pytest.raises(PlaybookNotUsable, match=r"no absent\.yml"):
        build("absent.yml")


def test_an_ordinary_user_is_refused_before_anything_runs() -> None:
    require_root(0)
    with pytest.raises(PlaybookNotUsable, match="needs root"):
        require_root(1000)


def test_a_checkouts_digest_covers_its_playbooks_and_not_gits_own_files(tmp_path: Path) -> None:
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "main.yml").write_text("one")
    before = checkout_digest(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref")
    assert checkout_digest(tmp_path) == before
    (tmp_path / "roles" / "main.yml").write_text("other")
    assert checkout_digest(tmp_path) != before
