"""The modules' `spec.yml`, made from what the modules do: their models, their outputs, their rows in the registry.

`python -m hyops_assets.cli.modules.specs` writes them; a test holds that those in the repository are these.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hyops_assets.cli.modules.registry import MODULES, Module
from hyops_assets.cli.modules.spec_texts import SAID, SpecText
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.resolution import decided_by
from hyops_assets.settings.pipeline import Settings

SPEC = "spec.yml"
SCHEMA = "inputs.schema.json"
LATEST = "latest"
"""How a spec calls the slot `latest.json`, which has no instance's name."""


def spec_text(module: Module) -> str:
    """Return the text of a module's `spec.yml`."""
    document = yaml.safe_dump(spec_of(module), sort_keys=False, allow_unicode=True, width=110)
    return f"# Made by `python -m {_NAME}` from the models; edit those.\n{document}"


def spec_of(module: Module) -> dict[str, Any]:
    """Return a module's spec as HybridOps lays it out: `api_version: hybridops/v1`, `kind: ModuleSpec`."""
    said = SAID[module.ref]
    return {
        "api_version": "hybridops/v1",
        "kind": "ModuleSpec",
        "module_ref": module.ref,
        "metadata": {"title": said.title, "description": said.description},
        "requirements": {"credentials": list(module.credentials), "environment": list(said.environment)},
        "state": _state(module),
        "inputs": {
            "required": [name for name, field in module.inputs.model_fields.items() if field.is_required()],
            "defaults": defaults_of(module.inputs),
            "aliases": {_alias(name): name for name in _fields(module) if name.startswith("record_")},
            "decided_by": {name: _decided(module, name) for name in _fields(module) if name.endswith("_state_ref")},
            "schema": SCHEMA,
        },
        "execution": _execution(said),
        "outputs": {"publish": sorted(set(said.outputs()))},
        "probes": [],
        "constraints": list(said.constraints),
    }


def defaults_of(model: type[ModuleInputs]) -> dict[str, Any]:
    """Return the inputs that have a default, and what it is, as plain values."""
    given = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    return model.model_construct(None, **given).model_dump(mode="json", include=set(given))


def schema_text(module: Module) -> str:
    """Return the JSON Schema (2020-12) of a module's inputs, as text: what an editor checks an inputs file with."""
    return json.dumps(_schema(module.inputs), indent=2, sort_keys=True) + "\n"


def made_files(directory: Path) -> dict[Path, str]:
    """Return spec and schema of every module, by the path that each has below a directory."""
    return {
        directory / module.ref / name: text
        for module in MODULES.values()
        for name, text in ((SPEC, spec_text(module)), (SCHEMA, schema_text(module)))
    }


def write_made(made: Mapping[Path, str]) -> list[Path]:
    """Write files where they are missing or have another text; return what was written."""
    changed = [(path, text) for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path, text in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [path for path, _ in changed]


def _state(module: Module) -> dict[str, Any]:
    own = module.instance(module.inputs.model_construct(), Settings(), None)
    return {"default_instance": own or LATEST, "one_per_site": "site" in module.inputs.model_fields}


def _execution(said: SpecText) -> dict[str, Any]:
    if said.job:
        return {"driver": "dagster", "profile": "asset-graph", "pack_ref": {"id": said.job}}
    return {"driver": "hyops", "profile": "client", "pack_ref": {"id": ""}}


def _alias(name: str) -> str:
    """Return HybridOps' name of an input."""
    return f"artifact_{name.removeprefix('record_')}"


def _fields(module: Module) -> list[str]:
    return list(module.inputs.model_fields)


def _decided(module: Module, reference: str) -> list[str]:
    return [name for name in decided_by(reference) if name in module.inputs.model_fields]


def _schema(model: type[ModuleInputs]) -> dict[str, Any]:
    """Return the schema of the inputs, without the prose of our code."""
    schema = model.model_json_schema(mode="validation")
    kept = {name: schema[name] for name in ("$defs", "required", "properties") if name in schema}
    # The aliases that the models never see: they are folded before.
    words = {name for name in schema["properties"] if name.startswith("record_")}
    kept["properties"] = kept["properties"] | {
        _alias(name): {"$ref": f"#/properties/{name}"} for name in sorted(words)
    }
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "type": "object", "additionalProperties": False, **_plain(kept)}


def _plain(node: Any) -> Any:
    """Drop titles, which repeat the names, and the docstrings of nested models."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    prose = {"title"} | ({"description"} if "properties" in node else set())
    return {
        name: {key: _plain(value) for key, value in item.items()} if name in {"properties", "$defs"} else _plain(item)
        for name, item in node.items()
        if name not in prose or isinstance(item, dict)
    }


_NAME = "hyops_assets.cli.modules.specs"

if __name__ == "__main__":
    for written in write_made(made_files(Path("modules"))):
        print(written)  # noqa: T201 - what changed
