import pytest

from hyops_assets.lab.lookalike.configtree import ConfigTree, ConfigTreeError
from hyops_assets.lab.miniature import default_config

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

// vyos-config-version: "system@29"
// Release version: 1
"""


def test_what_is_parsed_is_printed_again():
    tree = ConfigTree(TEXT)
    assert ConfigTree(tree.to_string()).to_string() == tree.to_string()
    assert tree.to_commands().splitlines() == [
        "set interfaces ethernet eth0 address '192.0.2.1/24'",
        "set interfaces ethernet eth0 address 'dhcpv6'",
        "set service ssh disable-password-authentication",
    ]


def test_the_footer_stays_at_the_end():
    assert ConfigTree(TEXT).to_string().endswith('// vyos-config-version: "system@29"\n// Release version: 1\n')


def test_the_default_configuration_of_the_lab_is_one():
    assert ConfigTree(default_config("1")).return_value(["system", "host-name"]) == "vyos"


def test_an_empty_text_is_an_empty_configuration():
    assert ConfigTree("").to_commands() == ""


@pytest.mark.parametrize("text", ["a {\n", "}\n", "a b c\n", "a b c {\n}\n"])
def test_a_syntax_error_names_its_line(text):
    with pytest.raises(ValueError, match="Syntax error on line 1"):
        ConfigTree(text)


def test_without_a_tag_mark_names_are_printed_as_nodes():
    tree = ConfigTree()
    tree.set(["interfaces", "ethernet", "eth1", "mtu"], value="1500")
    assert "ethernet {\n        eth1 {" in tree.to_string()
    tree.set_tag(["interfaces", "ethernet"])
    assert "ethernet eth1 {" in tree.to_string()


def test_values_add_up_only_where_asked_and_only_once():
    tree = ConfigTree()
    path = ["system", "name-server"]
    for value in ("1.1.1.1", "8.8.8.8", "8.8.8.8"):
        tree.set(path, value=value, replace=False)
    assert tree.return_values(path) == ["1.1.1.1", "8.8.8.8"]
    tree.set(path, value="9.9.9.9")
    assert tree.return_values(path) == ["9.9.9.9"]
    with pytest.raises(ConfigTreeError, match="Value doesn't exist"):
        tree.delete_value(path, "1.1.1.1")
    tree.delete_value(path, "9.9.9.9")
    assert not tree.exists(path)


def test_new_nodes_come_before_older_ones_and_a_blank_splits_a_name():
    tree = ConfigTree("system {\n    host-name a\n}\n")
    tree.set(["system", "bad name!"], value="x")
    assert tree.to_string().startswith('system {\n    bad {\n        name! "x"\n    }\n    host-name "a"\n')


def test_quotes_and_newlines_in_values_are_escaped():
    tree = ConfigTree()
    tree.set(["a"], value='say "hi"\n')
    assert 'a "say \\"hi\\"\\n"' in tree.to_string()
    assert ConfigTree(tree.to_string()).return_value(["a"]) == 'say "hi"\n'


def test_what_is_not_there_cannot_be_deleted_or_read():
    tree = ConfigTree(TEXT)
    for act in (tree.delete, tree.list_nodes, tree.return_values, tree.return_value, tree.set_tag):
        with pytest.raises(ConfigTreeError):
            act(["interfaces", "nope"])
