"""A value is asked of VyOS before it counts: what VyOS would drop at its next boot is reported instead."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from hyops_lab.lookalike import schema, validation
from hyops_lab.lookalike.configtree import ConfigTree
from tests.tools.conftest import program
from tests.tools.shapes import HASH, KEY

YESCRYPT = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
BCRYPT = "$2b$05$abcdefghijklmnopqrstuuJ9wQbJxqk9bRjrV9fJ8mYVQhx1rGm7S"


@pytest.mark.parametrize("kind", [YESCRYPT, BCRYPT], ids=["yescrypt", "bcrypt"])
def test_a_kind_of_password_that_vyos_drops_is_reported_and_is_no_login(guest, caplog, kind):
    (problem,) = guest.boot(users=[{"name": "ops", "hashed_passwd": kind}])
    assert (
        "users, entry 1: VyOS refuses the value of 'system login user ops authentication encrypted-password'"
        in problem
    )
    assert kind not in f"{problem}{caplog.text}{guest.text}"
    assert "SSH is off" in caplog.text
    assert "ssh" not in guest.text


def test_a_release_that_takes_yescrypt_gets_it(guest, templates, tmp_path, monkeypatch):
    path = "system login user * authentication encrypted-password"
    node = schema.Node("leaf", (*schema.NODES[path].regexes, r"\$y\$[./A-Za-z0-9$]+"))
    newer = tmp_path / "templates"
    for name, text in {**schema.templates(), schema.file_of(path): schema.node_def(node)}.items():
        (newer / name).parent.mkdir(parents=True, exist_ok=True)
        (newer / name).write_text(text)
    monkeypatch.setattr(guest.module, "TEMPLATES", newer)
    assert guest.boot(password=YESCRYPT) == []
    assert YESCRYPT in guest.text


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"hostname": "r"}, "host name: VyOS refuses the value of 'system host-name'"),
        (
            {"users": [{"name": "ops", "gecos": "Ops: Team", "passwd": HASH}]},
            "users, entry 1: VyOS refuses the value of 'system login user ops full-name'",
        ),
        (
            {"vyos_config_commands": ["set service ssh port 70000"]},
            "line 1: VyOS refuses the value of 'service ssh port'",
        ),
        (
            {"vyos_config_commands": ["set interfaces ethernet eth0 vif 5000 address dhcp"]},
            "line 1: VyOS takes no such name below 'interfaces ethernet eth0 vif'",
        ),
    ],
)
def test_what_vyos_would_refuse_is_reported_and_costs_nothing_else(guest, said, why):
    (problem,) = guest.boot(**{"ssh_authorized_keys": [KEY], **said})
    assert why in problem
    assert "public-keys admin@example.net {" in guest.text
    assert ("user ops" in guest.text) == ("users" in said)


def test_a_password_in_the_owners_configuration_that_vyos_drops_is_no_way_in(guest, caplog):
    ssh, login = (
        "service { ssh { port 22\n} }",
        f'user ops {{ authentication {{ encrypted-password "{YESCRYPT}"\n}} }}',
    )
    guest.config.write_text(str(ConfigTree(f"{ssh}\nsystem {{ login {{ {login} }} }}\n").to_string()))
    before = guest.text
    (problem,) = guest.boot()
    assert problem == "VyOS refuses the kind of password that ops has: it will be left out"
    assert "SSH is off" in caplog.text
    assert "port" not in guest.text
    guest.config.write_text(before)
    # Said once, also where another login is looked for twice.
    assert guest.boot(ssh_authorized_keys=[KEY]) == [problem]


# --- who is asked --------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(cc_vyos: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module with VyOS' program as the look-alike has it, in a process of its own."""
    site = str(Path(validation.__file__).parent)
    script = (
        f"import sys; sys.path.insert(0, {site!r}); import validation; sys.exit(not validation.accepts(sys.argv[1:]))"
    )
    program(tmp_path / "validate-value", f'exec {sys.executable} -IS -c "{script}" "$@"')
    monkeypatch.setattr(cc_vyos, "LIBEXEC", tmp_path)
    return cc_vyos


def test_vyos_own_program_judges_what_no_expression_takes(asking):
    node_def = schema.node_def(schema.NODES["interfaces ethernet * address"])
    answers = {value: asking.accepted(node_def, value) for value in ("dhcp", "192.0.2.1/24", "192.0.2.0/24", "x' 'y")}
    assert answers == {"dhcp": True, "192.0.2.1/24": True, "192.0.2.0/24": False, "x' 'y": False}


@pytest.mark.parametrize("hostile", ["'; touch stolen; '", "a\0b", "$(touch stolen)", "`touch stolen`"])
def test_no_value_reaches_a_shell(asking, tmp_path, monkeypatch, hostile):
    """VyOS' program hands a value to a shell in single quotes: one that could end them is not handed on."""
    monkeypatch.chdir(tmp_path)
    program(tmp_path / "validate-value", "for last; do :; done; eval \"echo '$last'\"; exit 1")
    assert not asking.accepted(schema.node_def(schema.NODES["system domain-name"]), hostile)
    assert not (tmp_path / "stolen").exists()


def test_a_program_that_is_not_there_refuses_nothing(asking, tmp_path, caplog):
    (tmp_path / "validate-value").unlink()
    assert asking.accepted(schema.node_def(schema.NODES["system domain-name"]), "example.net")
    assert "not held against VyOS' constraints" in caplog.text


@pytest.mark.parametrize("node_def", ["", "type: txt\n", 'syntax:expression: $VAR(@) in "a", "b"; "only these"\n'])
def test_what_asks_nothing_that_is_known_takes_everything(asking, node_def):
    assert asking.accepted(node_def, "anything")
