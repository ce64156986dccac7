"""The real ansible-playbook, on playbooks of our own that have the interface of vyos-vm-images."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.cli.modules.build_outlook import collections_check
from hyops_assets.image import programs
from hyops_assets.image.intake.iso import SQUASHFS
from hyops_assets.image.methods import vyos_vm_images
from hyops_assets.image.methods.method import BuildFailed, BuildRequest, MadeDisk
from hyops_assets.image.methods.vyos_vm_images import (
    CollectionsMissing,
    GrubSkipped,
    IsoLacksMd5Sums,
    NoHostsMatched,
    PackagesNotAllowed,
    PlaybookNotUsable,
    SwallowedError,
    build_with_vm_images,
    checkout_digest,
    require_root,
)
from hyops_assets.image.programs import ProgramFailed, run
from tests.image.conftest import RELEASE
from tests.image.methods.conftest import RequestFor

pytestmark = pytest.mark.seconds

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
    def built(
        playbook: str, *, md5_sums: bool = True, settings: dict[str, object] | None = None, **changes: object
    ) -> MadeDisk:
        checkout = tmp_path / "checkout"
        shutil.copytree(PLAYBOOKS, checkout)
        (checkout / "images").symlink_to(images)
        configured = {
            "checkout": str(checkout),
            "playbook": playbook,
            "may_install_packages": True,
            **(settings or {}),
        }
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
    variables = json.loads((tmp_path / "checkout" / "variables.json").read_text())
    assert Path(variables["iso_local"]).name == f"vyos-{RELEASE}-generic-amd64.iso"
    assert (variables["disk_size"], variables["cloud_init"], variables["grub_console"]) == ("1", "false", "serial")
    assert (variables["vyos_version"], variables["parttable_type"]) == (RELEASE, "hybrid")


@as_root
def test_nothing_that_it_writes_or_mounts_has_a_path_of_another_builds(build: Any, tmp_path: Path) -> None:
    build("qemu.yml")
    paths = json.loads((tmp_path / "checkout" / "variables.json").read_text())["paths"]
    assert len(set(paths)) == 7
    assert all(path.startswith(f"{tmp_path}/") for path in paths)


@as_root
def test_a_play_that_skips_grub_is_refused_by_that_name_although_it_is_green(build: Any, tmp_path: Path) -> None:
    with pytest.raises(GrubSkipped, match=rf"(?s)boot code is missing: it skipped install-grub-wrapper.*{RELEASE}"):
        build("grub-skipped.yml")
    assert not (tmp_path / "disk.raw").exists()


@as_root
def test_grub_that_is_missing_for_another_reason_is_not_said_to_be_skipped(build: Any) -> None:
    with pytest.raises(GrubSkipped, match="none of its tasks for GRUB was skipped"):
        build("grub-lost.yml")


@as_root
def test_a_play_for_a_group_that_the_inventory_lacks_is_refused_although_it_is_green(
    build: Any, tmp_path: Path
) -> None:
    with pytest.raises(NoHostsMatched, match="ran nothing"):
        build("no-hosts.yml")
    assert not (tmp_path / "checkout" / "variables.json").exists()


@as_root
def test_a_checkout_without_its_inventory_is_refused(build: Any) -> None:
    with pytest.raises(PlaybookNotUsable, match="no inventory hosts-of-ours"):
        build("qemu.yml", settings={"inventory": "hosts-of-ours"})


@as_root
def test_a_module_that_ansible_core_lacks_is_named_with_what_to_install(build: Any) -> None:
    with pytest.raises(CollectionsMissing, match=r"hyops\.absent\.mount") as refused:
        build("absent-module.yml")
    assert "install the full ansible" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ("echo usage; exit 1", ["ansible.posix", "community.general"]),
        ("echo 'ansible.posix 1.4.0'", ["community.general"]),
        ("echo 'ansible.posix 1.4.0'; echo 'community.general 6.0.0'", []),
    ],
)
def test_preflight_tells_which_collections_ansible_lacks(
    script: str, missing: list[str], tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "ansible-galaxy").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "ansible-galaxy").chmod(0o755)
    monkeypatch.setattr(programs, "_PATH", f"{tmp_path}:{programs._PATH}")
    assert vyos_vm_images.missing_collections() == missing
    assert collections_check().status == ("missing" if missing else "ok")


@as_root
def test_the_first_failure_is_quoted_where_the_rescue_fails_for_another_reason(build: Any) -> None:
    """Upstream's own (822a593) ends so where it cannot mount the ISO, and leaves what it had mounted."""
    with pytest.raises(ProgramFailed, match=r"(?s)vmlinuz did NOT match.*'vyos_version' is undefined") as failed:
        build("hidden.yml")
    assert all(place in failed.value.hint for place in ("losetup -a", "mount", "/etc/fstab"))


@as_root
def test_packages_on_this_host_are_not_installed_unasked(build: Any, tmp_path: Path) -> None:
    with pytest.raises(PackagesNotAllowed, match="grub-efi-amd64 among them, which removes grub-pc"):
        build("qemu.yml", settings={"may_install_packages": False})
    assert not (tmp_path / "checkout" / "variables.json").exists()


def test_what_a_play_left_mounted_below_the_builds_directory_is_unmounted(tmp_path: Path, monkeypatch: Any) -> None:
    own = tmp_path / "own work"
    table = tmp_path / "mounts"
    inside = str(own).replace(" ", "\\040")
    table.write_text(
        f"a / ext4 rw 0 0\nb {inside}/wroot ext4 rw 0 0\nc {inside}/wroot/boot none rw 0 0\nd {inside}x e f\n"
    )
    unmounted: list[object] = []
    monkeypatch.setattr(vyos_vm_images, "run", lambda argv: unmounted.append(argv[1]))
    vyos_vm_images.unmount_below(own, table)
    assert unmounted == [f"{own}/wroot/boot", f"{own}/wroot"]


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
