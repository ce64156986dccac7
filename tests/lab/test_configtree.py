"""What VyOS' own library was measured to do, one golden test per behaviour; `shows` binds a test to its behaviour.

Measured with the library of March 2024. What reads a printed backslash back was not measured: here it is not relied
on, and cc_vyos asks the library in the guest.
"""

from collections.abc import Callable
from typing import TypeVar

import pytest

from hyops_lab.lookalike.configtree import ConfigTree, ConfigTreeError
from hyops_lab.miniature import saved_config

BEHAVIOURS = (
    "the constructor takes the text of config.boot, its footer included",
    "an empty text is a valid, empty tree",
    "a syntax error is a ValueError that names line and character",
    "set without a value makes a valueless node",
    "set with replace=False appends a value",
    "the same value twice is kept once",
    "a path element with a blank is split into two nodes",
    "set_tag decides the printed form",
    "trees parsed from text keep the tags that the text shows",
    "delete raises: Path doesn't exist",
    "delete_value raises: Value doesn't exist",
    "return_value, return_values and list_nodes raise: Path [b'nope'] doesn't exist",
    "exists answers with a bool",
    "to_string prints the tree",
    "to_commands prints lines set a b 'value'",
    "printing indents by four blanks",
    "values are printed in double quotes, always",
    "double quotes and newlines in values are escaped",
    "a backslash is printed as it is",
    "new nodes come before older ones of the same parent",
    "the footer is kept at the end",
    "a tree without footer prints blank lines there",
    "a multi-value node is printed as one line per value",
    "a node that lost everything below it is printed alone, a tag node too",
)
Test = TypeVar("Test", bound=Callable[..., None])
SHOWN: set[str] = set()
TEXT = """\
interfaces {
    ethernet eth0 {
        address "192.0.2.1/24"
        address "dhcpv6"
    }
}
service {
    ssh {
        disable-password-authentication
    }
}


// Warning: Do not remove the following line.
// vyos-config-version: "bgp@5:system@29"
// Release version: 1
"""
_, FOOTER = TEXT.split("\n\n\n")


def shows(*behaviours: str) -> Callable[[Test], Test]:
    """Say which behaviours a test shows."""
    assert set(behaviours) <= set(BEHAVIOURS)

    def noted(test: Test) -> Test:
        SHOWN.update(behaviours)
        return test

    return noted


def tree_of(*path: str, value: str | None = None) -> ConfigTree:
    tree = ConfigTree("")
    tree.set(list(path), value=value)
    return tree


def test_every_behaviour_is_shown():
    assert set(BEHAVIOURS) - SHOWN == set()


@shows(BEHAVIOURS[0], "to_string prints the tree", "trees parsed from text keep the tags that the text shows")
def test_what_is_parsed_is_printed_again():
    assert ConfigTree(TEXT).to_string() == TEXT


@shows("an empty text is a valid, empty tree")
def test_an_empty_text_is_an_empty_configuration():
    assert ConfigTree("").to_commands() == ""


@shows("a syntax error is a ValueError that names line and character")
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a {\n", "line 1, character 3"),
        ("a\n}\n", "line 2, character 1"),
        ("a b c\n", "line 1, character 5"),
        ("a {\n    b c d {\n    }\n}\n", "line 2, character 11"),
        ('a {\n    b "c\n}\n', "line 2, character 7"),
    ],
)
def test_a_syntax_error_names_its_place(text, where):
    with pytest.raises(ValueError, match=f"Failed to parse config: Syntax error on {where}: "):
        ConfigTree(text)


@shows("set without a value makes a valueless node")
def test_a_node_without_a_value_is_printed_alone():
    assert tree_of("service", "ssh").to_string().startswith("service {\n    ssh\n}\n")


@shows("set with replace=False appends a value", "the same value twice is kept once")
def test_values_add_up_only_where_asked_and_only_once():
    tree = ConfigTree()
    path = ["system", "name-server"]
    for value in ("1.1.1.1", "8.8.8.8", "8.8.8.8"):
        tree.set(path, value=value, replace=False)
    assert tree.return_values(path) == ["1.1.1.1", "8.8.8.8"]
    tree.set(path, value="9.9.9.9")
    assert tree.return_values(path) == ["9.9.9.9"]


@shows("a path element with a blank is split into two nodes")
def test_a_blank_splits_a_name():
    assert tree_of("system", "bad name!", value="x").to_string().startswith('system {\n    bad {\n        name! "x"\n')


@shows("set_tag decides the printed form")
def test_without_a_tag_mark_names_are_printed_as_nodes():
    tree = tree_of("interfaces", "ethernet", "eth1", "mtu", value="1500")
    assert "    ethernet {\n        eth1 {\n" in tree.to_string()
    tree.set_tag(["interfaces", "ethernet"])
    assert "    ethernet eth1 {\n" in tree.to_string()


@shows("a node that lost everything below it is printed alone, a tag node too")
def test_a_node_that_lost_everything_below_it_is_printed_alone():
    tree = ConfigTree(TEXT)
    tree.delete(["interfaces", "ethernet", "eth0"])
    tree.delete(["service", "ssh"])
    assert tree.to_string().startswith("interfaces {\n    ethernet\n}\nservice\n")


@shows("delete raises: Path doesn't exist")
def test_what_is_not_there_cannot_be_deleted():
    tree = ConfigTree(TEXT)
    with pytest.raises(ConfigTreeError, match="Path doesn't exist: "):
        tree.delete(["interfaces", "nope"])
    tree.delete(["interfaces", "ethernet"])
    assert not tree.exists(["interfaces", "ethernet"])


@shows("delete_value raises: Value doesn't exist")
def test_a_value_that_is_not_there_cannot_be_deleted_and_a_node_goes_with_its_last():
    path = ["system", "name-server"]
    tree = tree_of(*path, value="9.9.9.9")
    with pytest.raises(ConfigTreeError, match=r"Value doesn't exist: 1\.1\.1\.1"):
        tree.delete_value(path, "1.1.1.1")
    tree.delete_value(path, "9.9.9.9")
    assert not tree.exists(path)


@shows("return_value, return_values and list_nodes raise: Path [b'nope'] doesn't exist")
def test_what_is_not_there_cannot_be_read():
    tree = ConfigTree(TEXT)
    for read in (tree.return_value, tree.return_values, tree.list_nodes):
        with pytest.raises(ConfigTreeError, match=r"Path \[b'nope'\] doesn't exist"):
            read(["nope"])


def test_a_node_without_a_value_has_none_to_read():
    with pytest.raises(ConfigTreeError):
        tree_of("service", "ssh").return_value(["service", "ssh"])


@shows("exists answers with a bool")
def test_exists_tells_nodes_from_what_is_not_there():
    tree = ConfigTree(TEXT)
    assert tree.exists(["interfaces", "ethernet", "eth0"]) is True
    assert tree.exists(["nope"]) is False


@shows("to_commands prints lines set a b 'value'")
def test_commands_are_one_line_per_leaf_and_value():
    assert ConfigTree(TEXT).to_commands().splitlines() == [
        "set interfaces ethernet eth0 address '192.0.2.1/24'",
        "set interfaces ethernet eth0 address 'dhcpv6'",
        "set service ssh disable-password-authentication",
    ]


@shows("printing indents by four blanks", "values are printed in double quotes, always")
def test_values_are_quoted_and_blocks_indented():
    tree = ConfigTree("system { login { user a { full-name b\n} } }")
    printed = tree.to_string()
    assert printed.startswith(
        'system {\n    login {\n        user a {\n            full-name "b"\n        }\n    }\n}\n'
    )


@shows("double quotes and newlines in values are escaped")
def test_quotes_and_newlines_in_values_are_escaped():
    tree = tree_of("a", value='say "hi"\n')
    assert tree.to_string().startswith('a "say \\"hi\\"\\n"\n')
    assert ConfigTree(tree.to_string()).return_value(["a"]) == 'say "hi"\n'


@shows("a backslash is printed as it is")
def test_a_backslash_is_printed_as_it_is():
    assert tree_of("a", value="b\\c").to_string().startswith('a "b\\c"\n')


@shows("new nodes come before older ones of the same parent")
def test_new_nodes_come_before_older_ones():
    tree = ConfigTree("system {\n    host-name a\n}\n")
    tree.set(["system", "time-zone"], value="UTC")
    assert tree.to_string().startswith('system {\n    time-zone "UTC"\n    host-name "a"\n}\n')


@shows("the footer is kept at the end")
def test_the_footer_stays_at_the_end():
    tree = ConfigTree(TEXT)
    tree.set(["system", "host-name"], value="a")
    assert tree.to_string().endswith(f"}}\n\n\n{FOOTER}")


@shows("a tree without footer prints blank lines there")
def test_a_tree_without_footer_ends_in_blank_lines():
    assert tree_of("a", value="b").to_string() == 'a "b"\n\n\n'


@shows("a multi-value node is printed as one line per value")
def test_a_multi_value_node_is_printed_value_by_value():
    tree = tree_of("system", "name-server", value="1.1.1.1")
    tree.set(["system", "name-server"], value="8.8.8.8", replace=False)
    assert tree.to_string().startswith('system {\n    name-server "1.1.1.1"\n    name-server "8.8.8.8"\n}\n')


def test_the_default_configuration_of_the_lab_is_one():
    assert ConfigTree(saved_config("1")).return_value(["system", "host-name"]) == "vyos"
