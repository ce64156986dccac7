"""The reference pages, made from the models: settings of `pipeline.yml`, and each module's inputs and outputs.

`python -m hyops_assets.cli.modules.reference` writes them; a test holds that those in `docs/reference/` are these.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hyops_assets.cli.modules.registry import MODULES, Module
from hyops_assets.cli.modules.specs import LATEST, spec_of, write_made
from hyops_assets.settings.pipeline import Settings

SETTINGS_PAGE = "settings.md"
MODULES_PAGE = "modules.md"

_MADE = "<!-- Made by `python -m hyops_assets.cli.modules.reference` from the models; edit those. -->\n"
_WORDS = {"string": "text", "integer": "number", "boolean": "true, false"}
_LIMITS = {"minimum": "from", "exclusiveMinimum": "more than", "maximum": "to", "multipleOf": "in steps of"}
_NESTED = "keys below"
_LONGEST_DEFAULT = 60
_LINE = 119
_HEAD = ("| {word} | value | default | what it is |", "|---|---|---|---|")


@dataclass(frozen=True)
class Key:
    """One key that a user may write.

    Attributes:
        path: with dots; `<name>` stands for a name of the user's, `[]` for the items of a list.
        value: what may stand there, in words.
        default: as it is written in YAML; None where the key is required.
        about: a phrase; empty where the name says it all.
    """

    path: str
    value: str
    default: str | None
    about: str


def keys_of(model: type[BaseModel]) -> list[Key]:
    """Return every key of a model, those of nested models in their place."""
    schema = model.model_json_schema(mode="validation")
    return list(_keys(schema, schema.get("$defs", {}), ""))


def settings_page() -> str:
    """Return the text of `docs/reference/settings.md`."""
    lines = [
        "# Settings: every key of `pipeline.yml`\n",
        _MADE,
        "The file is `<runtime root>/config/pipeline.yml`; `hyops init --env <env>` writes a commented one. Every key",
        "has a default that works; *required* are only those of a section that is there. An unknown key is",
        "refused. No secret stands here: `token_env` names the variable that holds one.",
    ]
    sections: dict[str, list[Key]] = {}
    for key in keys_of(Settings):
        sections.setdefault(_section(key.path), []).append(key)
    for section, keys in sections.items():
        lines += [f"\n## {section}\n", *_table("key", keys)]
    return "\n".join(lines) + "\n"


def modules_page() -> str:
    """Return the text of `docs/reference/modules.md`."""
    lines = [
        "# Modules: inputs and outputs\n",
        _MADE,
        "`hyops plan --env <env> --module <module> --inputs <file>` takes these inputs. `modules/<module>/` has the",
        "spec (`spec.yml`), a JSON Schema for editors (`inputs.schema.json`) and examples. Inputs `record_*` may be",
        "called `artifact_*`. Outputs stand under `outputs` in the state. What registers, and commands of your own:",
        "[modules](../modules.md).",
    ]
    for module in sorted(MODULES.values(), key=lambda module: module.ref):
        lines += _module(module)
    return "\n".join(lines) + "\n"


def made_pages(directory: Path) -> dict[Path, str]:
    """Return both pages, by the path that each has in a directory."""
    return {directory / SETTINGS_PAGE: settings_page(), directory / MODULES_PAGE: modules_page()}


def _module(module: Module) -> list[str]:
    spec = spec_of(module)
    own = spec["state"]["default_instance"]
    slot = "latest.json" if own == LATEST else f"instances/{own}.json"
    if spec["state"]["one_per_site"]:
        slot += "; at a site that is not the default one, instances/<site>.json"
    decided = spec["inputs"]["decided_by"]
    return [
        f"\n## {module.ref}\n",
        spec["metadata"]["description"],
        "",
        f"- state: `{slot}`",
        *(f"- credentials: {', '.join(module.credentials)}" for _ in module.credentials[:1]),
        *(_wrapped(f"- `{name}` decides: {_quoted(names)}") for name, names in decided.items() if names),
        *(_wrapped(f"- {_escaped(rule)}") for rule in spec["constraints"]),
        "",
        *_table("input", keys_of(module.inputs)),
        "",
        _wrapped(f"Outputs: {_quoted(spec['outputs']['publish'])}."),
    ]


def _keys(schema: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> Iterator[Key]:
    required = schema.get("required", ())
    for name, written in schema["properties"].items():
        node = _resolved(written, known)
        inner, path = _inner(node, known, f"{prefix}{name}")
        default = None if name in required else _default(written)
        if inner is None or "description" in written or default is None:
            yield Key(f"{prefix}{name}", _value(node, known), default, written.get("description", ""))
        if inner is not None:
            yield from _keys(inner, known, f"{path}.")


def _resolved(node: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference leads to; what may be null is what it is otherwise."""
    if "anyOf" in node:
        node = next(choice for choice in node["anyOf"] if choice.get("type") != "null" and "const" not in choice)
    return known[node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _inner(node: Mapping[str, Any], known: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any] | None, str]:
    """Return the model that is nested in a key, and the path of its own keys."""
    if "properties" in node:
        return node, path
    by_name = [*node.get("patternProperties", {}).values(), node.get("additionalProperties"), node.get("items")]
    for kind in by_name:
        if isinstance(kind, dict) and "properties" in (found := _resolved(kind, known)):
            return found, f"{path}[]" if node.get("type") == "array" else f"{path}.<name>"
    return None, path


def _value(node: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(str(one) for one in node["enum"] if one != "")
    if "const" in node:
        return str(node["const"])
    if node.get("type") == "array":
        items = node.get("prefixItems") or [node.get("items", {})]
        kind = _value(_resolved(items[0], known), known)
        return f"list, {kind}" if kind == _NESTED else f"list of {kind}"
    if "properties" in node or node.get("type") == "object":
        return _NESTED if _inner(node, known, "")[0] else "names with values"
    if node.get("format") == "path":
        return "path"
    limits = [f"{word} {node[limit]}" for limit, word in _LIMITS.items() if limit in node]
    return " ".join([_WORDS.get(node.get("type", ""), "text"), *limits])


def _default(written: Mapping[str, Any]) -> str:
    default = written.get("default")
    if default in (None, "", [], {}, ()):
        return ""
    if isinstance(default, list) and all(isinstance(item, dict) and "name" in item for item in default):
        default = [item["name"] for item in default]
    if isinstance(default, dict):
        return ""
    text = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT or not isinstance(default, list) else _listed(default)


def _listed(default: list[Any]) -> str:
    return "<br>".join(f"`{item}`" for item in default)


def _section(path: str) -> str:
    """Return the heading under which a key stands: the model that has it."""
    above = path.rpartition(".")[0]
    return f"`{above}`" if above else "At the top"


def _table(word: str, keys: list[Key]) -> list[str]:
    rows = (
        (f"`{key.path}`", key.value, "*required*" if key.default is None else key.default, _escaped(key.about))
        for key in keys
    )
    return [_HEAD[0].format(word=word), _HEAD[1], *(f"| {' | '.join(row)} |" for row in rows)]


def _escaped(text: str) -> str:
    """Return a sentence as Markdown shows it: a name in angle brackets would be taken for HTML, a bar ends a cell."""
    return text.replace("<", "\\<").replace("|", "\\|")


def _wrapped(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, _LINE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    for written in write_made(made_pages(Path("docs/reference"))):
        print(written)  # noqa: T201 - what changed
