import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.progress import silent
from hyops_assets.image.intake.sums import MAX_SUMS_BYTES, parse_sums, verify_sums
from hyops_assets.image.intake.volume import BadIso

SUM = hashlib.sha256(b"x").hexdigest()


def test_the_lines_of_sha256sum_are_read_in_both_modes() -> None:
    listing = f"{SUM}  ./live/filesystem.squashfs\n{SUM} *./a name with  blanks\n".encode()
    assert parse_sums(listing) == {"live/filesystem.squashfs": SUM, "a name with  blanks": SUM}


def test_an_empty_listing_lists_nothing() -> None:
    assert parse_sums(b"") == {}


def test_the_same_line_twice_is_borne_and_two_sums_for_one_file_are_not() -> None:
    assert parse_sums(f"{SUM}  ./a\n{SUM}  a\n".encode()) == {"a": SUM}
    with pytest.raises(BadIso, match="lists 'a' twice"):
        parse_sums(f"{SUM}  ./a\n{'0' * 64}  ./a\n".encode())


@pytest.mark.parametrize(
    ("listing", "named"),
    [
        pytest.param(f"{SUM}  ./a\n\n", "has the line ''", id="blank line"),
        pytest.param(f"{SUM}  ./a\r\n{SUM.upper()}  ./b\r\n", "has the line", id="capitals"),
        pytest.param(f"{SUM}  ../a\n", "has the line", id="outside"),
        pytest.param(f"{SUM}  /etc/passwd\n", "has the line", id="absolute"),
        pytest.param(f"{SUM}  .\n", "has the line", id="the root"),
        pytest.param(f"{SUM[1:]}  ./a\n", "has the line", id="63 digits"),
        pytest.param(f"\\{SUM}  ./a\\nb\n", "has the line", id="an escaped name"),
        pytest.param("x" * 10_000, "has the line 'x{100}'", id="endless"),
    ],
)
def test_a_line_of_another_form_is_refused_and_shown(listing: str, named: str) -> None:
    with pytest.raises(BadIso, match=named):
        parse_sums(listing.encode())


@pytest.mark.parametrize(("content", "named"), [(b"\xff", "no text"), (bytes(MAX_SUMS_BYTES + 1), "more than")])
def test_what_is_no_listing_is_refused(content: bytes, named: str) -> None:
    with pytest.raises(BadIso, match=named):
        parse_sums(content)


def test_every_file_that_differs_or_is_missing_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"y")
    with pytest.raises(BadIso) as refused:
        verify_sums({"a": SUM, "b": SUM, "c\0d": SUM, "e" * 5000: SUM}, {n: tmp_path / n for n in "ab"}, silent)
    assert "a: " not in refused.value.message
    assert f"b: expected {SUM}, found {hashlib.sha256(b'y').hexdigest()}" in refused.value.message
    assert refused.value.message.count("found no such file") == 2


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.tuples(st.sampled_from([SUM, "0" * 64, "é" * 64]), st.text(max_size=20))).map(
            lambda lines: "".join(f"{digits}  {name}\n" for digits, name in lines).encode("utf-8", "surrogatepass")
        ),
    )
)
def test_any_bytes_are_a_listing_or_a_typed_refusal(content: bytes) -> None:
    try:
        sums = parse_sums(content)
    except BadIso:
        return
    assert all(len(digits) == 64 and not name.startswith(("/", "../")) for name, digits in sums.items())
