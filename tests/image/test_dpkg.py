import pytest

from hyops_assets.image.dpkg import BadStatus, installed, stanzas, suite_of


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
