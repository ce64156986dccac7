from importlib import resources
from pathlib import Path

import pytest

from hyops_assets.image.intake.iso import OpenedIso, open_iso
from hyops_assets.image.intake.layout import MENU_TEMPLATES, Layout, UnknownLayout, default_configs
from hyops_lab.iso_layout import KERNEL_VERSION
from hyops_lab.miniature import Oddities, default_config, make_miniature
from hyops_lab.signing import LabKey
from tests.image.conftest import RELEASE

NEW, OLD = "usr/share/vyos/config.boot.default", "opt/vyatta/etc/config.boot.default"
TEMPLATES = "usr/share/vyos/templates/grub"
CONFIG = default_config().encode()


def opened(directory: Path, oddities: Oddities) -> OpenedIso:
    made = make_miniature(directory / "made", RELEASE, LabKey.generate(), oddities=oddities)
    return open_iso(made.iso, release=RELEASE, scratch=directory)


def layout_of(directory: Path, oddities: Oddities) -> Layout:
    return opened(directory, oddities).layout


def moved_templates(*places: str) -> dict[str, bytes | None]:
    source = resources.files("hyops_lab") / "grub"
    files: dict[str, bytes | None] = {TEMPLATES: None}
    return files | {f"{place}/{name}": (source / name).read_bytes() for place in places for name in MENU_TEMPLATES}


def test_a_release_of_today_is_laid_out_as_vyos_documents_it(tmp_path: Path) -> None:
    iso = opened(tmp_path, Oddities())
    found = iso.layout
    assert default_configs(iso.squashfs) == [f"/{NEW}"]
    assert found.menu_templates == f"/{TEMPLATES}"
    assert found.menu_version == "/usr/lib/python3/dist-packages/vyos/system/__init__.py"
    assert found.grub_modules == "/usr/lib/grub"
    assert found.boot_files["vmlinuz"] == f"/boot/vmlinuz-{KERNEL_VERSION}"
    assert set(found.boot_files) == {
        *("vmlinuz", "initrd.img", f"vmlinuz-{KERNEL_VERSION}", f"initrd.img-{KERNEL_VERSION}"),
        f"config-{KERNEL_VERSION}",
    }


@pytest.mark.parametrize(
    ("files", "found"),
    [
        pytest.param({NEW: None, OLD: CONFIG}, [OLD], id="until January 2026"),
        pytest.param({OLD: CONFIG}, [OLD, NEW], id="both at once"),
        pytest.param(
            {NEW: None, "usr/lib/vyos/config.boot.default": CONFIG}, ["usr/lib/vyos/config.boot.default"], id="moved"
        ),
    ],
)
def test_the_default_configuration_is_found_wherever_it_went(
    files: dict[str, bytes | None], found: list[str], tmp_path: Path
) -> None:
    iso = opened(tmp_path, Oddities(files=files))
    assert default_configs(iso.squashfs) == [f"/{path}" for path in found]


def test_templates_that_moved_are_found(tmp_path: Path) -> None:
    files = moved_templates("usr/share/vyos-1x/menu")
    assert layout_of(tmp_path, Oddities(files=files)).menu_templates == "/usr/share/vyos-1x/menu"


def test_a_second_copy_of_the_templates_does_not_displace_the_usual_one(tmp_path: Path) -> None:
    files = moved_templates("srv/grub", TEMPLATES)
    del files[TEMPLATES]
    assert layout_of(tmp_path, Oddities(files=files)).menu_templates == f"/{TEMPLATES}"


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("oddities", "named"),
    [
        pytest.param(Oddities(files={NEW: None}), ["no config.boot.default in any directory"], id="no configuration"),
        pytest.param(
            Oddities(files={f"{TEMPLATES}/grub_vars.j2": None, f"{TEMPLATES}/grub_menu.j2": None}),
            [f"/{TEMPLATES} lacks grub_vars.j2, grub_menu.j2"],
            id="templates missing",
        ),
        pytest.param(
            Oddities(files=moved_templates("srv/a", "srv/b")), ["in /srv/a and in /srv/b, and not in"], id="ambiguous"
        ),
        pytest.param(
            Oddities(files={"usr/lib/grub/x86_64-efi": None}),
            ["/usr/lib/grub lacks x86_64-efi/kernel.img"],
            id="no EFI",
        ),
        pytest.param(
            Oddities(files={"usr/lib/grub": None, TEMPLATES: None, NEW: None, "boot": None, "usr/lib/python3": None}),
            [
                *("no /boot/vmlinuz", "no /boot/initrd.img", "no config.boot.default", "no grub_main.j2"),
                *("no i386-pc/boot.img", "no vyos/system/__init__.py"),
            ],
            id="all at once",
        ),
        pytest.param(
            Oddities(files={"boot/vmlinuz": None, "boot/vmlinuz-6.7.0-vyos": b"kernel"}),
            [f"/boot has vmlinuz-{KERNEL_VERSION} and vmlinuz-6.7.0-vyos, and no vmlinuz that tells which"],
            id="two kernels",
        ),
        pytest.param(
            Oddities(
                files={"boot/initrd.img-6.7.0-vyos": b"initrd"}, links={"boot/initrd.img": "initrd.img-6.7.0-vyos"}
            ),
            [f"vmlinuz is of {KERNEL_VERSION} and initrd.img is of 6.7.0-vyos"],
            id="another kernel's initrd",
        ),
        pytest.param(Oddities(files={"boot/vmlinuz": b""}), ["/boot/vmlinuz is empty"], id="empty kernel"),
        pytest.param(
            Oddities(
                files={"boot/vmlinuz": None},
                pseudo=["boot/vmlinuz c 666 0 0 1 5"],
                links={f"boot/vmlinuz-{KERNEL_VERSION}": "vmlinuz"},
            ),
            ["no /boot/vmlinuz"],
            id="a device for a kernel",
        ),
    ],
)
def test_an_unknown_layout_is_refused_naming_all_that_was_looked_for(
    oddities: Oddities, named: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UnknownLayout) as refused:
        layout_of(tmp_path, oddities)
    assert [text for text in named if text not in refused.value.message] == []
    assert refused.value.message.count(";") == len(named) - 1


@pytest.mark.seconds
def test_of_two_kernels_the_one_that_the_links_name_boots_and_both_are_kept(tmp_path: Path) -> None:
    files: dict[str, bytes | None] = {"boot/vmlinuz-6.7.0-vyos": b"kernel", "boot/initrd.img-6.7.0-vyos": b"initrd"}
    links = {"boot/vmlinuz": "vmlinuz-6.7.0-vyos", "boot/initrd.img": "initrd.img-6.7.0-vyos"}
    found = layout_of(tmp_path, Oddities(files=files, links=links)).boot_files
    assert (found["vmlinuz"], found["initrd.img"]) == ("/boot/vmlinuz-6.7.0-vyos", "/boot/initrd.img-6.7.0-vyos")
    assert f"vmlinuz-{KERNEL_VERSION}" in found


@pytest.mark.seconds
def test_a_single_kernel_needs_no_link_that_names_it(tmp_path: Path) -> None:
    found = layout_of(tmp_path, Oddities(files={"boot/vmlinuz": None, "boot/initrd.img": None})).boot_files
    assert (found["vmlinuz"], found["initrd.img"]) == (
        f"/boot/vmlinuz-{KERNEL_VERSION}",
        f"/boot/initrd.img-{KERNEL_VERSION}",
    )


def test_a_link_to_a_kernel_that_was_removed_is_passed_over(tmp_path: Path) -> None:
    assert "vmlinuz.old" not in layout_of(tmp_path, Oddities(links={"boot/vmlinuz.old": "vmlinuz-5.0"})).boot_files
