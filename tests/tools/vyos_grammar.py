"""VyOS' whole grammar (`vyos-config-grammar-2024-10.json`), as a judge of what the module wrote.

The grammar is no part of the repository; without it, tests that take it skip (see `tests/specs.py`).
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hyops_lab.lookalike import schema, validation
from hyops_lab.lookalike.configtree import ConfigTree
from tests.specs import require_specification, specification_file

GRAMMAR = "vyos-config-grammar-2024-10.json"

Raw = Mapping[str, Any]


@cache
def grammar() -> Raw:
    """Return the grammar's root; skip the test where there is none."""
    require_specification(GRAMMAR)
    return {"k": "node", "c": json.loads(specification_file(GRAMMAR).read_text())["tree"]}


def node_at(words: list[str]) -> schema.Node | None:
    """Return what the grammar says of a node; names of tag nodes' children stand as `*`."""
    at = grammar()
    for word in words:
        if word != "*":
            at = at.get("c", {}).get(word)
            if at is None:
                return None
    return _node(at)


def faults(config: str) -> list[str]:
    """Return what VyOS would refuse of a configuration when it boots, by path; without the values."""
    return list(_faults(grammar(), ConfigTree(config), []))


def _faults(said: Raw, tree: ConfigTree, path: list[str]) -> Iterator[str]:
    for name in tree.list_nodes(path):
        below, here = said.get("c", {}).get(name), [*path, name]
        if below is None:
            yield f"no node {' '.join(here)}"
        elif below["k"] == "tag":
            for key in tree.list_nodes(here):
                if not fits(_node(below), key):
                    yield f"name {key!r} of {' '.join(here)}"
                yield from _faults(below, tree, [*here, key])
        elif below["k"] == "node":
            yield from _faults(below, tree, here)
        elif below["k"] != "valueless":
            yield from (f"value of {' '.join(here)}" for v in tree.return_values(here) if not fits(_node(below), v))


def fits(node: schema.Node, value: str) -> bool:
    """Tell whether a value, or a name, fits a node."""
    return validation.fits(schema.node_def(node), value)


def _node(said: Raw) -> schema.Node:
    return schema.Node(said["k"], tuple(said.get("r", ())), tuple(said.get("v", ())))
