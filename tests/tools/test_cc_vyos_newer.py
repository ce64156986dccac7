"""A release without node.def files: `vyos.xml_ref` knows the nodes, `validate_tree_filter` the values.

The function is VyOS' own (vyos-1x 054fda5; reference_tree.ml of vyos1x-config, late 2025) in what it does to its
caller: here in Python, with the look-alike's tree.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hyops_lab.lookalike import configtree, schema
from tests.tools.shapes import HASH, KEY


class Reference(ModuleType):
    """`vyos.xml_ref` over the look-alike's nodes: the same questions, the same exceptions."""

    def _found(self, path: list[str]) -> tuple[dict[str, Any], bool]:
        """Return what is said of a node, and whether the path ends with the name of a tag node's child."""
        at: dict[str, Any] = {"node_data": {"node_type": "node"}} | schema.reference()
        named = False
        for word in path:
            if at["node_data"]["node_type"] == "tag" and not named:
                named = True
                continue
            if word not in at:
                raise ValueError("non-existent node data")
            at, named = at[word], False
        return at["node_data"], named

    def is_tag(self, path: list[str]) -> bool:
        said, named = self._found(path)
        return said["node_type"] == "tag" and not named

    def is_valueless(self, path: list[str]) -> bool:
        return bool(self._found(path)[0]["valueless"])

    def is_multi(self, path: list[str]) -> bool:
        return bool(self._found(path)[0]["multi"])

    def is_leaf(self, path: list[str]) -> bool:
        return self._found(path)[0]["node_type"] == "leaf"


@pytest.fixture
def newer(guest, monkeypatch):
    """A guest whose VyOS has dropped the node.def files: `vyos.xml_ref` knows the nodes."""
    known = Reference("vyos.xml_ref")
    monkeypatch.setattr(guest.module, "TEMPLATES", guest.root / "missing")
    monkeypatch.setitem(sys.modules, "vyos.xml_ref", known)
    monkeypatch.setattr(sys.modules["vyos"], "xml_ref", known, raising=False)
    return guest


def test_commands_are_checked_by_the_other_source_where_node_defs_are_gone(newer):
    lines = ["set system time-zone UTC", "set interfaces ethernet eth0 vif 7 address dhcp", "set system host-nam x"]
    (problem,) = newer.boot(vyos_config_commands=lines, ssh_authorized_keys=[KEY])
    assert "line 3: VyOS has no such node below 'system'" in problem
    assert "ethernet eth0 {" in newer.text
    assert "set interfaces ethernet eth0 vif 7 address 'dhcp'" in newer.commands


@pytest.mark.seconds
@pytest.mark.parametrize("path", list(schema.NODES))
def test_both_sources_say_the_same_of_a_node(newer, templates, path):
    words = [word.replace("*", "name") for word in path.split()]
    by_reference = newer.module.Schema(newer.root / "missing")
    assert by_reference.reference is not None
    for depth in range(1, len(words) + 1):
        assert by_reference.kind(words[:depth]) == newer.module.Schema(templates).kind(words[:depth])
    assert by_reference.kind([*words[:-1], "no-such"]) in (None, "group")


# --- who is asked about values --------------------------------------------------------------------------------------

_LIBRARY = """
import os, signal
from configtree import ConfigTree
class CutPointer:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGSEGV)
def validate_tree_filter(tree):
    text = tree.to_string()
    print("a validator's own words")
    return CutPointer(), {says}
"""
SEES_ALL = """'no' if '"-"' in text or '"r"' in text or '70000' in text else ''"""
SEES_SEVERAL = "'no' if '70000' in text else ''"
LACKS_ITS_FILES = "'Failed to read /usr/share/vyos/reftree.cache'"
FALLS = "os.abort() if 'edge1' in text else ''"


@pytest.fixture
def library(newer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let VyOS' library say something of a tree, as Python that the guest's own runs."""
    site = tmp_path / "site"

    def says(what: str) -> None:
        (site / "vyos").mkdir(parents=True)
        (site / "vyos/__init__.py").touch()
        (site / "configtree.py").write_bytes(Path(str(configtree.__file__)).read_bytes())
        (site / "vyos/configtree.py").write_text(_LIBRARY.replace("{says}", what))
        monkeypatch.setenv("PYTHONPATH", str(site))

    return says


def test_vyos_library_judges_and_may_end_its_process_by_what_it_frees(newer, library):
    library(SEES_ALL)
    assert newer.boot(hostname="r") == ["host name: VyOS refuses the value of 'system host-name'"]
    assert newer.boot(hostname="edge1", ssh_authorized_keys=[KEY]) == []


@pytest.mark.parametrize("says", [SEES_SEVERAL, LACKS_ITS_FILES, FALLS, None])
def test_where_it_does_not_look_what_would_cost_a_login_is_still_known(newer, library, says):
    """One of 2025 looks at no node of a single value; without its cache it refuses everything, good or bad."""
    if says is not None:
        library(says)
    problems = newer.boot(hostname="r", users=[{"name": "ops", "passwd": "$2b$05$abc", "gecos": "Ops: Team"}])
    assert [problem.rpartition("user ops ")[2] for problem in problems] == [
        "host name: VyOS refuses the value of 'system host-name'",
        "authentication encrypted-password'",
        "full-name'",
    ]
    assert newer.boot(hostname="edge1", password=HASH, ssh_authorized_keys=[KEY]) == []
    assert {"set system host-name 'edge1'", "set service ssh port '22'"} <= set(newer.commands)


def test_a_guest_that_can_start_no_process_for_it_is_configured(newer, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert newer.boot(hostname="edge1", ssh_authorized_keys=[KEY]) == []
    assert "set system host-name 'edge1'" in newer.commands


def test_what_it_sees_of_several_values_counts(newer, library):
    library(SEES_SEVERAL)
    (problem,) = newer.boot(vyos_config_commands=["set service ssh port 70000"], ssh_authorized_keys=[KEY])
    assert problem == "vyos_config_commands, line 1: VyOS refuses the value of 'service ssh port'"
