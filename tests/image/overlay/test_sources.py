from pathlib import Path

import pytest
from pydantic import ValidationError

from hyops_assets.contract.apt_lines import BadSource
from hyops_assets.image.overlay.sources import NoSource, host_sources, signed_lines
from hyops_assets.settings.build import AptSource

DEB822 = """\
Types: deb deb-src
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
# a comment
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://vendor.invalid/apt
Suites: bookworm
Components: stable
Signed-By: /etc/apt/keyrings/vendor.asc

Types: deb
Enabled: no
URIs: http://off.invalid/debian
Suites: bookworm
Components: main
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    path = tmp_path / "some keyring.gpg"
    path.write_bytes(b"")
    return path


def test_only_debians_own_sources_of_the_suite_are_the_hosts(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    (etc / "sources.list").write_text(
        "# deb http://old.invalid/debian bullseye main\n"
        "deb http://security.invalid/debian-security bookworm-security main # updates\n"
        "deb [arch=amd64] http://other.invalid/debian trixie main\n"
    )
    lines = [source.line for source in host_sources("bookworm", etc)]
    assert [line.split("] ")[1] for line in lines] == [
        "http://security.invalid/debian-security bookworm-security main",
        "http://mirror.invalid/debian bookworm main contrib",
        "http://mirror.invalid/debian bookworm-updates main contrib",
    ]
    assert all("signed-by=" in line for line in lines)


def test_a_host_of_another_suite_asks_its_own_debian_mirror_for_the_isos(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    (etc / "sources.list").write_text(
        "deb http://security.invalid/debian-security bookworm-security main\n"
        "deb http://backports.invalid/debian bookworm-backports main\n"
        "deb [signed-by=/usr/share/keyrings/other.gpg] http://other.invalid/debian bookworm main\n"
        "deb http://rolling.invalid/debian sid main\n"
    )
    sources = host_sources("trixie", etc)
    assert [source.line.split("] ")[1] for source in sources] == [
        "http://security.invalid/debian-security trixie-security main",
        "http://rolling.invalid/debian trixie main",
        "http://mirror.invalid/debian trixie main contrib",
        "http://mirror.invalid/debian trixie-updates main contrib",
    ]
    assert all("signed-by=/usr/share/keyrings/debian-archive-keyring.gpg" in source.line for source in sources)


def test_a_host_without_a_source_of_debian_learns_which_setting_to_fill(etc: Path) -> None:
    (etc / "sources.list").write_text(
        "deb [signed-by=/usr/share/keyrings/ubuntu.gpg] http://ubuntu.invalid/ubuntu noble main\n"
    )
    with pytest.raises(NoSource) as raised:
        host_sources("trixie", etc)
    assert "trixie" in raised.value.message
    assert "noble" in raised.value.message
    assert "build.apt_sources in config/pipeline.yml" in raised.value.hint


def test_a_host_without_any_source_learns_it_too(etc: Path) -> None:
    with pytest.raises(NoSource, match="its suites: none"):
        host_sources("bookworm", etc)


def test_every_line_is_bound_to_its_own_keyring(keyring: Path) -> None:
    line = "deb [arch=amd64 signed-by=/other.gpg Signed-By+=/other.gpg] http://m.invalid/debian bookworm main  contrib"
    with signed_lines([AptSource(line=line, keyring=keyring)], "bookworm") as (signed,):
        bound = Path(signed.split("signed-by=")[1].split("]")[0])
        assert bound.resolve() == keyring
        assert signed.endswith("] http://m.invalid/debian bookworm main contrib")
        assert "other.gpg" not in signed
    assert not bound.parent.exists()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("deb-src http://m.invalid/debian bookworm main", "not a source"),
        ("deb [trusted=yes] http://m.invalid/debian bookworm main", "signatures off"),
        ("deb [arch=amd64 Allow-Insecure=yes] http://m.invalid/debian bookworm main", "signatures off"),
        ("deb [trusted+=yes] http://m.invalid/debian bookworm main", "signatures off"),
        ("deb [allow-weak-=no] http://m.invalid/debian bookworm main", "signatures off"),
        ("deb [inrelease-path=../../x] http://m.invalid/debian bookworm main", "is no option that is taken"),
        ("deb ssh://m.invalid/debian bookworm main", "not at an https, http or file URI"),
        ("deb mirror+file:/etc/mirrors bookworm main", "not at an https, http or file URI"),
        ("deb http://m.invalid/debian trixie-updates main", "is of trixie"),
    ],
)
def test_a_line_that_may_not_be_used_is_refused(line: str, why: str, keyring: Path) -> None:
    with (
        pytest.raises(BadSource, match=why),
        signed_lines([AptSource(line=line, keyring=keyring)], "bookworm"),
    ):
        pass


def test_two_lines_are_no_setting(keyring: Path) -> None:
    with pytest.raises(ValidationError, match="line"):
        AptSource(line="deb http://m.invalid/debian bookworm main\ndeb http://n.invalid x y", keyring=keyring)


def test_a_password_in_a_line_is_refused_and_not_repeated(keyring: Path) -> None:
    source = AptSource(line="deb https://user:hunter2@m.invalid/debian bookworm main", keyring=keyring)
    with pytest.raises(BadSource, match="credentials") as raised, signed_lines([source], "bookworm"):
        pass
    assert "hunter2" not in str(raised.value)


def test_a_keyring_that_does_not_exist_is_named(tmp_path: Path) -> None:
    source = AptSource(line="deb http://m.invalid/debian bookworm main", keyring=tmp_path / "gone.gpg")
    with pytest.raises(BadSource, match=r"gone\.gpg"), signed_lines([source], "bookworm"):
        pass
