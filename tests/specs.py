"""The vendors' published API schemas: every request that the product sends and every answer of a stand-in fits them.

They are no part of the repository: `$HYOPS_API_SPECS`, or `../shared/specs` beside the repository. Where they are
absent, a test that needs them is skipped with a reason; under `CI=true` it fails. No test has to ask for it:
`tests/conftest.py` watches every stand-in that is made in the tests' process.
"""

import json
import os
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hyops_lab.hetzner.answers import Exchange

HETZNER = "hetzner-cloud.openapi.json"
NOWHERE = "/nothing"
"""A path that no API has, for a test of its refusal."""

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "specs"


def specification_file(file_name: str) -> Path:
    """Return where a schema file lies, or would lie."""
    return Path(os.environ.get("HYOPS_API_SPECS") or _BESIDE) / file_name


def require_specification(file_name: str) -> None:
    """Skip the test where there is no such schema; fail it under CI."""
    path = specification_file(file_name)
    if not path.is_file():
        reason = f"no {path}; set HYOPS_API_SPECS to the directory of the vendors' schemas"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@cache
def load(path: Path) -> dict[str, Any]:
    """Return a schema; read once."""
    return json.loads(path.read_text())


class OpenApi:
    """Holds what a stand-in is asked and answers against an OpenAPI 3.0 description.

    Attributes:
        problems: what does not fit; stays empty as long as everything does.
        watched: exchanges that were looked at, whether there is a description or not.
        checked: those that were held against it.
    """

    def __init__(self, file_name: str) -> None:
        self._path = specification_file(file_name)
        self._validators: dict[int, jsonschema.Draft202012Validator] = {}
        self._fitting: set[tuple[int, str]] = set()
        self.problems: list[str] = []
        self.watched = 0
        self.checked = 0

    def __call__(self, exchange: Exchange) -> None:
        """Hold one exchange against the description; its path is below the API's root."""
        self.watched += 1
        if not self._path.is_file() or exchange.path == NOWHERE:
            return
        where = f"{exchange.method} {exchange.path}"
        operation = self._operation(exchange.method, exchange.path)
        if operation is None:
            self.problems.append(f"{where} is not in the description")
            return
        self.checked += 1
        known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
        self.problems += [f"{where}: unknown query parameter {name}" for name in exchange.query.keys() - known]
        if exchange.status < 400:
            self._fits(f"{where} request", exchange.body, _schema(operation.get("requestBody", {})))
        answer = self._answer_schema(where, operation, exchange.status)
        self._fits(f"{where} answer {exchange.status}", exchange.answer, answer)

    def _answer_schema(self, where: str, operation: dict[str, Any], status: int) -> dict[str, Any] | None:
        responses = operation["responses"]
        response = responses.get(str(status), responses.get(f"{status // 100}xx"))
        if response is None:
            self.problems.append(f"{where}: no answer {status} is described")
            return None
        return _schema(response)

    @cached_property
    def _operations(self) -> list[tuple[int, str, re.Pattern[str], dict[str, Any]]]:
        return [
            (template.count("{"), method, re.compile(re.sub(r"\{[^}]+\}", "[^/]+", template)), operation)
            for template, operations in load(self._path)["paths"].items()
            for method, operation in operations.items()
        ]

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        fitting = [
            (names, operation)
            for names, its_method, pattern, operation in self._operations
            if its_method == method.lower() and pattern.fullmatch(path)
        ]
        return min(fitting, key=lambda each: each[0])[1] if fitting else None

    def _fits(self, where: str, value: Any, schema: dict[str, Any] | None) -> None:
        if schema is None:
            if value not in (None, {}):
                self.problems.append(f"{where}: a body where none is described: {value!r}")
            return
        # What is asked again and again is looked at once.
        text = json.dumps(value)
        if (id(schema), text) in self._fitting:
            return
        problems = [
            f"{where}: {error.json_path}: {error.message[:200]}"
            for error in self._errors(schema, {} if value is None else value)
        ]
        if not problems:
            self._fitting.add((id(schema), text))
        self.problems += problems

    def _errors(self, schema: dict[str, Any], value: Any) -> Iterator[Any]:
        # By identity: the description lives as long as the process, and a schema of it is no key.
        validator = self._validators.get(id(schema))
        if validator is None:
            validator = self._validators[id(schema)] = jsonschema.Draft202012Validator(_strict(schema))
        return validator.iter_errors(value)


def _schema(part: dict[str, Any]) -> dict[str, Any] | None:
    return part.get("content", {}).get("application/json", {}).get("schema")


def _strict(schema: Any) -> Any:
    """Turn OpenAPI 3.0 into JSON Schema, and refuse properties that it does not describe."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _strict(value) for key, value in schema.items() if key not in {"nullable", "deprecated"}}
    if "properties" in schema and isinstance(schema["properties"], dict):
        converted["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        converted.setdefault("additionalProperties", False)
    if not schema.get("nullable"):
        return converted
    if isinstance(schema.get("type"), str):
        # The same as the alternative below, in a third of the time.
        either = {"type": [schema["type"], "null"]}
        return converted | either | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})
    return {"anyOf": [converted, {"type": "null"}]}
