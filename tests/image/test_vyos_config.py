import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.image.vyos_config import read_configuration
from hyops_lab.miniature import saved_config

LETTERS = st.text(st.sampled_from(list("ab {}\n\t;\"'\\\\/*")), max_size=60)


def statements_of(text: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(statement.inside, statement.words) for statement in read_configuration(text).statements]


def test_vyos_own_default_configuration_reads_without_mistake() -> None:
    read = read_configuration(saved_config("2026.03.03-0027-rolling"))
    assert read.mistakes == ()
    (hashed,) = read.named("encrypted-password")
    assert hashed.inside == ("system", "login", "user", "vyos", "authentication")
    assert hashed.value.startswith("$6$")


def test_nodes_tags_and_values_are_reported_with_what_is_around_them() -> None:
    text = 'interfaces {\n  ethernet eth0 {\n address dhcp\n disable\n }\n}\n// Release version: "x"\n'
    assert statements_of(text) == [
        ((), ("interfaces",)),
        (("interfaces",), ("ethernet", "eth0")),
        (("interfaces", "ethernet", "eth0"), ("address", "dhcp")),
        (("interfaces", "ethernet", "eth0"), ("disable",)),
    ]
    assert read_configuration(text).mistakes == ()


def test_a_layout_on_one_line_hides_nothing() -> None:
    assert statements_of("user vyos { authentication { plaintext-password x } }")[-1] == (
        ("user", "vyos", "authentication"),
        ("plaintext-password", "x"),
    )


def test_quotations_and_comments_are_read_as_such() -> None:
    text = """/* a { comment\n */ description "a \\"b\\" { c" \nname 'it is'\n"""
    assert statements_of(text) == [((), ("description", 'a "b" { c')), ((), ("name", "it is"))]


def test_every_mistake_is_reported_with_its_line() -> None:
    read = read_configuration('a {\n b c d\n}\n}\ne "f\n{')
    assert read.mistakes == (
        "line 2: 3 words, expected a name and at most one value",
        "line 4: a closing brace too many",
        "line 5: a quotation without an end",
        "line 6: an opening brace without a name",
        "line 6: 1 closing braces are missing",
    )


@given(LETTERS)
def test_any_text_has_an_answer(text: str) -> None:
    read = read_configuration(text)
    assert all(statement.words for statement in read.statements)


@pytest.mark.seconds
def test_a_hostile_text_takes_no_longer_than_it_is() -> None:
    for text in ('\\"' * 100_000, "/* " * 100_000, "a{" * 100_000, "}" * 200_000, "'a" * 100_001):
        assert read_configuration(text).mistakes
