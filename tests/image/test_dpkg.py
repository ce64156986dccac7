import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.dpkg import BadStatus, installed, stanzas, suite_of
from hyops_assets.image.sbom import Subject, sbom


def status(version: str, state: str = "install ok installed") -> bytes:
    return f"Package: base-files\nStatus: {state}\nVersion: {version}\n\nPackage: bash\nStatus: {state}\n".encode()


def test_stanzas_keep_the_line_breaks_of_a_long_value() -> None:
    text = "# comment\nPackage: a\nConffiles:\n /etc/a 1\n /etc/b 2\n\n\nPackage: b\nDepends: c:any, d\n"
    first, second = stanzas(text)
    assert first == {"package": "a", "conffiles": "\n/etc/a 1\n/etc/b 2"}
    assert second["depends"] == "c:any, d"


@pytest.mark.parametrize(
    ("version", "suite"), [("12.4+deb12u5", "bookworm"), ("12.12", "bookworm"), ("13.1", "trixie"), ("11", "bullseye")]
)
def test_the_suite_follows_the_version_of_base_files(version: str, suite: str) -> None:
    assert suite_of(status(version)) == suite


@pytest.mark.parametrize("version", ["9.9", "sid", ""])
def test_an_unknown_release_of_debian_is_named(version: str) -> None:
    with pytest.raises(BadStatus, match=f"base-files {version}"):
        suite_of(status(version))


def test_a_package_that_was_removed_is_not_installed() -> None:
    content = status("12.1") + b"\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    assert set(installed(content)) == {"base-files", "bash"}


def test_a_status_without_packages_is_refused() -> None:
    with pytest.raises(BadStatus, match="no installed package"):
        installed(b"\n")


@pytest.mark.parametrize("state", ["install ok unpacked", "hold ok installed", "install ok triggers-pending"])
def test_a_package_whose_files_are_there_counts_whatever_dpkg_says_of_it(state: str) -> None:
    assert "bash" in installed(status("12.1", state))


def test_a_package_of_another_architecture_is_another_package() -> None:
    content = status("12.1") + b"\nPackage: bash\nStatus: install ok installed\nVersion: 2\nArchitecture: i386\n"
    assert installed(content) == {"base-files": "12.1", "bash": "", "bash:i386": "2"}


def test_of_two_stanzas_of_one_package_the_later_counts_as_for_dpkg() -> None:
    content = status("12.1") + b"\nPackage: bash\nStatus: install ok installed\nVersion: 2\n"
    assert installed(content)["bash"] == "2"


def test_a_name_that_no_package_can_have_is_refused() -> None:
    with pytest.raises(BadStatus, match="names a package"):
        installed(status("12.1") + b"\nPackage: ../x\nStatus: install ok installed\nVersion: 2\n")


@pytest.mark.parametrize(
    "version", ["1 | ![x](https://evil.example/x.png)", "<b>1</b>", "1\x1b[2J", "1\n .2", "x" * 300]
)
def test_a_version_that_no_package_can_have_is_refused(version: str) -> None:
    with pytest.raises(BadStatus, match="of version"):
        installed(status("12.1") + f"\nPackage: x\nStatus: install ok installed\nVersion: {version}\n".encode())


def test_versions_as_debian_and_vyos_write_them_are_taken() -> None:
    for version in ("2:8.39-13+b1", "1.5.0~rc1-0vyos1", "252.22-1~deb12u1", "999.202403_030027", "1.0+git-g0a1b2c"):
        stanza = f"\nPackage: x\nStatus: install ok installed\nVersion: {version}\n"
        assert installed(status("12.1") + stanza.encode())["x"] == version


FIELDS = ("Package", "Status", "Version", "Architecture", "Maintainer", "Source", "Origin", "Description")
LINES = st.lists(st.tuples(st.sampled_from(FIELDS), st.text(max_size=20)), max_size=12)


@given(noise=st.binary(max_size=200), lines=LINES)
def test_any_status_is_read_or_refused(noise: bytes, lines: list[tuple[str, str]]) -> None:
    stanza = "".join(f"{name}: {value}\n" for name, value in lines).encode("utf-8", "replace")
    honest = status("12.1")
    extra = b"\nStatus: install ok installed\n" + stanza + b"\n" + noise
    try:
        bill = sbom(honest + extra, Subject("vyos-1.5", "1", "1", "a" * 64, "b" * 64, "x.iso", 1))
    except HyopsError:
        return
    assert len(json.loads(bill)["components"]) >= 2
