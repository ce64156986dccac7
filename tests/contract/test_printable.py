"""Whatever is quoted from elsewhere can be shown, stored and written down."""

import pytest

from hyops_assets.cli.check import Check
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.printable import one_line, printable
from hyops_assets.contract.redaction import REDACTED, Redactor
from hyops_assets.contract.upkeep import Finding

FOREIGN = ["a\x1b[2Jb", "a\x9b31mb", "a\rb", "a\u202eb", "a\u2028b", "a\ud800b", "a\udcffb", "a\0b"]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_would_change_a_terminal_or_fits_no_encoding_stands_as_its_escape(foreign: str) -> None:
    shown = printable(foreign)
    assert shown.isprintable()
    assert shown.encode().startswith(b"a\\")
    assert shown.endswith("b")


def test_lines_tabs_and_other_alphabets_stay() -> None:
    assert printable("Münster\n\t東京") == "Münster\n\t東京"


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_an_error_or_a_finding_quotes_is_printable(foreign: str) -> None:
    error = HyopsError(f"Hetzner answers {foreign}", hint=f"look at {foreign}")
    finding = Finding(foreign, foreign, "keep", foreign)
    for text in (str(error).replace("\n", ""), error.args[0], finding.what, finding.where, finding.why):
        assert text.isprintable()


def test_a_check_is_one_line_whatever_a_server_says() -> None:
    assert Check("repository", "fail", "it answers\nexit_code=0\x1b[2J").detail == r"it answers exit_code=0\x1b[2J"


def test_a_secret_in_an_error_is_found_although_it_was_made_printable() -> None:
    secret = "pass\u202eword-of-16"
    error = HyopsError(f"no login with {secret}", hint="-")
    assert Redactor({"DB_PASSWORD": secret}).text(error.message) == f"no login with {REDACTED}"


@pytest.mark.parametrize("foreign", ["x" * 1_000_000, "word " * 200_000, "\x1b[2J" * 100_000, "line\n" * 200_000])
def test_what_a_server_says_at_length_is_cut_in_the_middle(foreign: str) -> None:
    error = HyopsError(f"first words: {foreign} last words", hint=foreign)
    assert error.message.startswith("first words: ")
    assert error.message.endswith(" last words")
    finding = Finding(foreign, foreign, "keep", foreign)
    for text in (
        error.message,
        error.hint,
        finding.what,
        finding.where,
        finding.why,
        Check("x", "fail", foreign).detail,
    ):
        assert len(text) < 9000


def test_no_half_of_a_secret_is_left_where_a_text_is_cut() -> None:
    secret = "tok-9b1deb4d-3b7d-4bad"
    for before in range(6100, 6180):
        error = HyopsError(f"{'a' * before} {secret} {'b ' * 4000}", hint="-")
        assert secret in error.message or "tok-" not in error.message


def test_what_a_service_says_is_one_bounded_line() -> None:
    assert one_line("no\nexit_code=0\r\u2028 next: rm") == "no exit_code=0 next: rm"
    assert len(one_line("word " * 1000)) <= 502
