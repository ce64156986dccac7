import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_lab.lookalike.configtree import ConfigTree
from tests.tools.shapes import KEY


def test_commands_come_last_and_win(guest):
    guest.host = "fromdata"
    assert guest.boot(vyos_config_commands=["set system host-name 'fromcommand'"]) == []
    assert "set system host-name 'fromcommand'" in guest.commands


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("set system time-zone 'Europe/Berlin'", "set system time-zone 'Europe/Berlin'"),
        ("set system time-zone Europe/Berlin", "set system time-zone 'Europe/Berlin'"),
        ('set system login user ops full-name "Op S"', "set system login user ops full-name 'Op S'"),
        ("set interfaces ethernet eth0 address dhcp", "set interfaces ethernet eth0 address 'dhcp'"),
        ("set interfaces ethernet 'eth0' ipv6 address autoconf", "set interfaces ethernet eth0 ipv6 address autoconf"),
        (
            "set protocols static route 10.0.0.0/8 next-hop 192.0.2.1",
            "set protocols static route 10.0.0.0/8 next-hop 192.0.2.1",
        ),
    ],
)
def test_a_command_is_applied(guest, line, expected):
    assert guest.boot(vyos_config_commands=[line]) == []
    assert expected in guest.commands


def test_values_of_a_multi_node_add_up_and_others_replace(guest):
    lines = [
        "set system name-server '1.1.1.1'",
        "set system name-server '8.8.8.8'",
        "set system host-name 'one'",
        "set system host-name 'two'",
    ]
    assert guest.boot(vyos_config_commands=lines) == []
    assert {
        "set system name-server '1.1.1.1'",
        "set system name-server '8.8.8.8'",
        "set system host-name 'two'",
    } <= set(guest.commands)
    assert "set system host-name 'one'" not in guest.commands


@pytest.mark.parametrize(
    "node", ["interfaces ethernet eth0", "system login user vyos", "protocols static route 192.0.2.0/24"]
)
def test_a_node_whose_last_name_is_deleted_goes_with_it(guest, node):
    """VyOS' ConfigTree leaves the line `ethernet`, which VyOS cannot load."""
    guest.network = {"version": 2, "ethernets": {"eth0": {"routes": [{"to": "192.0.2.0/24", "via": "10.0.0.1"}]}}}
    assert guest.boot(vyos_config_commands=[f"delete {node}"]) == []
    assert node.split()[-2] not in {line.strip() for line in guest.text.splitlines()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("set system host-name edge1 # the first", "set system host-name 'edge1'"),
        ("set system host-name edge1\t#", "set system host-name 'edge1'"),
        ("set interfaces ethernet eth1 description '#1'", "set interfaces ethernet eth1 description '#1'"),
        ("set interfaces ethernet eth1 description a#1", "set interfaces ethernet eth1 description 'a#1'"),
        ("set interfaces ethernet eth1 description 'a # b' # c", "set interfaces ethernet eth1 description 'a # b'"),
        ("set interfaces ethernet eth1 description a\\ \\#b", "set interfaces ethernet eth1 description 'a #b'"),
    ],
)
def test_a_comment_behind_a_command_is_none_of_it(guest, line, expected):
    assert guest.boot(vyos_config_commands=[line]) == []
    assert expected in guest.commands


def test_deleting_a_value_leaves_the_others(guest):
    lines = [
        "set system name-server '1.1.1.1'",
        "set system name-server '8.8.8.8'",
        "delete system name-server '1.1.1.1'",
    ]
    assert guest.boot(vyos_config_commands="\n".join(lines)) == []
    assert "set system name-server '8.8.8.8'" in guest.commands
    assert "set system name-server '1.1.1.1'" not in guest.commands


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("show interfaces", "neither set nor delete"),
        ("set", "names no node"),
        ("set system host-name 'open", "quotes do not match"),
        ("set system no-such-node 'x'", "VyOS has no such node below 'system'"),
        ("set service ssh disable-password-authentication yes", "takes no value"),
        ("set system host-name a b", "takes one value"),
        ("set interfaces ethernet 'eth0 {' address dhcp", "cannot stand in config.boot"),
        ("set system host-name", "needs a value"),
        ("set interfaces ethernet", "needs a name"),
        ("set system host-name 'a\\'", "cannot stand in config.boot"),
        (7, "not a text"),
    ],
)
def test_a_bad_command_is_reported_with_its_line_and_the_rest_is_applied(guest, line, why):
    problems = guest.boot(vyos_config_commands=["set system time-zone 'UTC'", line])
    assert len(problems) == 1
    assert problems[0].startswith("vyos_config_commands, line 2: ")
    assert why in problems[0]
    assert "set system time-zone 'UTC'" in guest.commands


@pytest.mark.parametrize("line", ["delete system domain-name", "delete system host-name 'other'"])
def test_what_is_not_there_is_as_good_as_deleted_and_said(guest, caplog, line):
    assert guest.boot(vyos_config_commands=[line]) == []
    assert "nothing to delete" in caplog.text


def test_commands_of_the_wrong_type_are_reported(guest):
    assert guest.boot(vyos_config_commands={"set": 1}) == [
        "vyos_config_commands: it is neither a list of lines nor a text"
    ]


def test_without_vyos_schema_no_command_is_guessed_and_metadata_still_arrives(guest, monkeypatch):
    monkeypatch.setattr(guest.module, "TEMPLATES", guest.root / "missing")
    (problem,) = guest.boot(vyos_config_commands=["set system time-zone 'UTC'"], ssh_authorized_keys=[KEY])
    assert "schema is neither at" in problem
    assert "public-keys admin@example.net {" in guest.text


def test_a_secret_in_a_bad_line_is_not_repeated(guest, caplog):
    lines = [
        "set system login user ops authentication plaintext-passwort hunter2",
        "set system login user ops authentication encrypted-password 'hunter2",
        "set system login user ops authentication plaintext-password hunter2 hunter2",
        "set system login user ops authentication plaintext-password 'hunter2\\'",
        "set hunter2",
    ]
    problems = guest.boot(vyos_config_commands=lines)
    assert len(problems) == len(lines)
    assert "hunter2" not in f"{problems}{caplog.text}{guest.text}"


# --- any line whatever ---------------------------------------------------------------------------------------------

NODES = (
    ("system host-name", "leaf"),
    ("system time-zone", "leaf"),
    ("system name-server", "multi"),
    ("interfaces ethernet eth0 address", "multi"),
    ("system login user ops full-name", "leaf"),
    ("system login user ops authentication plaintext-password", "leaf"),
)
WORDS = ("set", "delete", "system", "login", "user", "'", '"', "{", "}", "\\")
TEXT = st.text(min_size=1, max_size=20)


@pytest.fixture
def apply(cc_vyos: ModuleType, templates: Path) -> Callable[[list[Any]], tuple[ConfigTree, list[str]]]:
    """Applies lines to an empty configuration; returns what VyOS reads back from it, and the problems."""

    def applied(lines: list[Any]) -> tuple[ConfigTree, list[str]]:
        config = cc_vyos.Configuration("", ConfigTree, cc_vyos.Schema(templates), [])
        cc_vyos.apply_vyos_commands(config, lines)
        return ConfigTree(config.text()), config.problems

    return applied


ANY = settings(deadline=None)


@pytest.mark.seconds
@ANY
@given(node=st.sampled_from(NODES), value=TEXT)
def test_a_quoted_value_arrives_exactly_or_is_reported(apply, node, value):
    path, _ = node
    tree, problems = apply([f"set {path} {shlex.quote(value)}"])
    if problems:
        assert not tree.exists(path.split())
    else:
        assert tree.return_values(path.split()) == [value]


@ANY
@given(line=st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_a_command_or_is_reported(apply, line):
    tree, problems = apply([line])
    said = line.strip()
    if not said or said.startswith("#"):
        assert (tree.to_commands(), problems) == ("", [])
    elif not problems:
        verb, *words = shlex.split(line)
        assert verb == "delete" or tree.exists(words) or tree.exists(words[:-1])


@pytest.mark.seconds
@ANY
@given(name=TEXT)
def test_a_name_arrives_exactly_or_is_reported(apply, name):
    tree, problems = apply([f"set interfaces ethernet {shlex.quote(name)} mtu 1500"])
    if problems:
        assert tree.to_commands() == ""
    else:
        assert tree.list_nodes(["interfaces", "ethernet"]) == [name]


@pytest.mark.seconds
@ANY
@given(values=st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])), gone=st.sampled_from(["192.0.2.1"]))
def test_values_add_up_and_one_goes_alone(apply, values, gone):
    tree, problems = apply(
        [*(f"set system name-server {value}" for value in values), f"delete system name-server {gone}"]
    )
    kept = [value for value in dict.fromkeys(values) if value != gone]
    assert problems == []
    assert (tree.return_values(["system", "name-server"]) if kept else []) == kept
