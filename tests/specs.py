"""The vendors' published API schemas: every request that the product sends and every answer of a stand-in fits them.

They are no part of the repository: `$HYOPS_API_SPECS`, or `../shared/specs` beside the repository. Where they are
absent, a test that needs them is skipped with a reason; under `CI=true` it fails.
"""

import json
import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "specs"


def specification(file_name: str) -> dict[str, Any]:
    """Return a schema file; skip or fail the test where there is none."""
    path = Path(os.environ.get("HYOPS_API_SPECS", _BESIDE)) / file_name
    if not path.is_file():
        reason = f"no {path}; set HYOPS_API_SPECS to the directory of the vendors' schemas"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return _load(path)


@cache
def _load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def openapi_validator(file_name: str = "hetzner-cloud.openapi.json") -> "OpenApi":
    """Return a validator for an OpenAPI 3.0 description."""
    return OpenApi(specification(file_name))


@dataclass
class OpenApi:
    """Collects what does not fit. `problems` stays empty as long as everything does."""

    document: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    checked: int = 0

    def check(self, method: str, path: str, query: dict[str, list[str]], body: Any, status: int, answer: Any) -> None:
        """Hold one exchange against the description; `path` is below the API's root."""
        operation = self._operation(method, path)
        if operation is None:
            self.problems.append(f"{method} {path} is not in the description")
            return
        self.checked += 1
        where = f"{method} {path}"
        known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
        self.problems += [f"{where}: unknown query parameter {name}" for name in query.keys() - known]
        if status < 400:
            self._fits(f"{where} request", body, _schema(operation.get("requestBody", {})))
        self._fits(f"{where} answer {status}", answer, self._answer_schema(where, operation, status))

    def _answer_schema(self, where: str, operation: dict[str, Any], status: int) -> dict[str, Any] | None:
        responses = operation["responses"]
        response = responses.get(str(status), responses.get(f"{status // 100}xx"))
        if response is None:
            self.problems.append(f"{where}: no answer {status} is described")
            return None
        return _schema(response)

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        fitting = [
            (template.count("{"), operations[method.lower()])
            for template, operations in self.document["paths"].items()
            if method.lower() in operations and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path)
        ]
        return min(fitting, key=lambda each: each[0])[1] if fitting else None

    def _fits(self, where: str, value: Any, schema: dict[str, Any] | None) -> None:
        if schema is None:
            if value not in (None, {}):
                self.problems.append(f"{where}: a body where none is described: {value!r}")
            return
        for error in jsonschema.Draft202012Validator(_strict(schema)).iter_errors({} if value is None else value):
            self.problems.append(f"{where}: {error.json_path}: {error.message[:200]}")


def _schema(part: dict[str, Any]) -> dict[str, Any] | None:
    return part.get("content", {}).get("application/json", {}).get("schema")


def _strict(schema: Any) -> Any:
    """Turn OpenAPI 3.0 into JSON Schema, and refuse properties that nobody described."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _strict(value) for key, value in schema.items() if key not in {"nullable", "deprecated"}}
    if "properties" in schema and isinstance(schema["properties"], dict):
        converted["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        converted.setdefault("additionalProperties", False)
    if schema.get("nullable"):
        return {"anyOf": [converted, {"type": "null"}]}
    return converted
