"""A module's inputs: read and laid over one another. Loads no Dagster.

From low to high: the spec's defaults, the operator's file (a blank text in it erases nothing), `HYOPS_INPUTS_JSON`,
`HYOPS_INPUT_<KEY>`. What a state reference decides comes on top (`hyops_assets/contract/resolution.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

from hyops_assets.cli.modules.registry import Module
from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.hybridops_inputs import key_by_its_other_names
from hyops_assets.contract.inputs import BadInputs, fold_aliases
from hyops_assets.contract.plain_documents import NotPlain, require_plain
from hyops_assets.contract.redaction import Redactor
from hyops_assets.image.shipped import shipped
from resources.yaml_files import UnreadableYaml, read_yaml

WHOLE_ENV = "HYOPS_INPUTS_JSON"
ONE_ENV_PREFIX = "HYOPS_INPUT_"
DEFAULT_MODULE_ROOT = Path("modules")


@dataclass(frozen=True)
class Layers:
    """Inputs before any state had its say.

    Attributes:
        given: what the operator gave, from file and environment.
        merged: the same over the spec's defaults.
    """

    given: Mapping[str, Any]
    merged: Mapping[str, Any]


def read_layers(module: Module, path: Path | None, module_root: Path | None, environ: Mapping[str, str]) -> Layers:
    """Read every layer of a module's inputs.

    Args:
        module: its row in the registry.
        path: the operator's file; None where there is none.
        module_root: where specs lie; None: `modules` below the working directory, else what came with this program.
        environ: of this process.

    Raises:
        BadInputs: a layer cannot be read or is no mapping, a name and its alias differ, or a value is the secret of
            a variable.
    """
    given: dict[str, Any] = {}
    for layer in (
        _from_file(path) if path is not None else {},
        _from_json(environ.get(WHOLE_ENV, "")),
        _from_variables(module, environ),
    ):
        folded = key_by_its_other_names(fold_aliases(layer), module.inputs.model_fields)
        given = _laid_over(given, folded)
    _refuse_secrets(given, environ)
    return Layers(given, _laid_over(fold_aliases(_spec_defaults(module, module_root)), given, blanks_count=False))


def _from_file(path: Path) -> dict[str, Any]:
    return _mapping(_read(path), str(path), "write key: value lines")


def _read(path: Path) -> Any:
    try:
        return read_yaml(path)
    except UnreadableYaml as error:
        raise BadInputs(error.message, hint="give a YAML file with the module's inputs") from error


def _from_json(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        found = parsed_json(text)
    except ValueError as error:
        # The text may hold anything; the position is all that is reported.
        raise BadInputs(f"{WHOLE_ENV} is no JSON: {error.args[0]}", hint="give one JSON object of inputs") from None
    _require_plain(found, WHOLE_ENV)
    return _mapping(found, WHOLE_ENV, "give one JSON object of inputs")


def _from_variables(module: Module, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the inputs that variables name: `HYOPS_INPUT_A__B=1` is `{"a": {"b": 1}}`."""
    found: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        key = name.removeprefix(ONE_ENV_PREFIX).lower()
        if not name.startswith(ONE_ENV_PREFIX) or not key:
            continue
        *above, last = key.split("__")
        place = found
        for part in above:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise BadInputs(f"{name} and a variable of its beginning exclude each other", hint="set one of them")
        place[last] = _parsed(module, last if not above else "", text)
        _require_plain(place[last], name)
    # Names nest by `__`, as deep as one is long.
    _require_plain(found, f"{ONE_ENV_PREFIX}<KEY>")
    return found


def _parsed(module: Module, key: str, text: str) -> Any:
    """Return a variable's value: JSON where it is JSON, but no number where the input is a text (version 2026.03)."""
    try:
        value = parsed_json(text)
    except ValueError:
        return text
    field = module.inputs.model_fields.get(key.replace("artifact_", "record_", 1))
    is_text = field is not None and (field.annotation is str or get_origin(field.annotation) is Literal)
    return text if is_text and not isinstance(value, str) else value


def _spec_defaults(module: Module, module_root: Path | None) -> dict[str, Any]:
    """Return the defaults of the module's spec."""
    path = (module_root or DEFAULT_MODULE_ROOT) / module.ref / "spec.yml"
    if not path.exists():
        if module_root is not None:
            raise BadInputs(f"{path} is not there", hint="name the directory that holds the modules' specs")
        path = shipped("modules") / module.ref / "spec.yml"
    spec = _mapping(_read(path), str(path), "see modules/ for specs")
    inputs = _mapping(spec.get("inputs"), f"inputs of {path}", "see modules/ for specs")
    return _mapping(inputs.get("defaults"), f"inputs.defaults of {path}", "see modules/ for specs")


def _mapping(found: Any, where: str, hint: str) -> dict[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise BadInputs(f"{where} holds no mapping of inputs", hint=hint)
    return found


def _require_plain(found: Any, variable: str) -> None:
    try:
        require_plain(found)
    except NotPlain as error:
        raise BadInputs(f"{variable} cannot be taken: {error.message}", hint=error.hint) from None


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any], *, blanks_count: bool = True) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        former = merged.get(key)
        if isinstance(value, Mapping) and isinstance(former, Mapping):
            merged[key] = _laid_over(former, value, blanks_count=blanks_count)
        elif blanks_count or key not in merged or not (isinstance(value, str) and not value.strip()):
            merged[key] = value
    return merged


def _refuse_secrets(given: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Refuse a secret's value as an input: inputs are written into states, run records and the graph's own runs."""
    redactor = Redactor(environ)
    for key, value in given.items():
        name = redactor.source_of(json.dumps(value, default=str, ensure_ascii=False))
        if name is not None:
            raise BadInputs(
                f"{key} holds the value of the variable {name}",
                hint="inputs name variables (required_env), never their values",
            )
