"""The published API schema of Proxmox VE 9.2, and a validator for what is sent and what is answered.

Where the schema is found, and what its absence means: `tests/specs.py`.
"""

import re
from functools import cached_property
from typing import Any

from hyops_lab.proxmox.server import Exchange
from tests.specs import load, specification_file

PROXMOX = "proxmox-ve-9.2.api.json"
_FORMATS = {
    "pve-vmid": r"[1-9]\d{2,8}",
    "pve-node": r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?",
    "pve-storage-id": r"(?i)[a-z][a-z0-9_.-]*[a-z0-9]",
    "dns-name": r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?",
    "pve-tag-list": r"[a-z0-9_][a-z0-9_+.-]*(?:[;, ][a-z0-9_][a-z0-9_+.-]*)*",
}
"""Named formats of PVE::JSONSchema that a request of ours uses."""


class SpecWatch:
    """An observer of the stand-in: every exchange is held against the schema."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.watched = 0
        self.seen: set[tuple[str, str]] = set()
        self.outside: set[tuple[str, str]] = set()

    @cached_property
    def paths(self) -> list[tuple[re.Pattern[str], str, dict[str, Any]]]:
        """The schema's paths and their calls; none where the schema is not there."""
        file = specification_file(PROXMOX)
        described = load(file)["paths"] if file.is_file() else {}
        return [(re.compile(_pattern(path)), path, calls) for path, calls in described.items()]

    def __call__(self, exchange: Exchange) -> None:
        self.watched += 1
        for pattern, path, calls in self.paths:
            match = pattern.fullmatch(exchange.path)
            if match and exchange.method in calls:
                self.seen.add((exchange.method, path))
                call = calls[exchange.method]
                where = f"{exchange.method} {path}"
                if exchange.status == 200:
                    given = {**match.groupdict(), **exchange.parameters}
                    self._check_request(where, call.get("parameters", {}), given)
                    self._check(f"{where} answered", call.get("returns", {}), exchange.data)
                return
        self.outside.add((exchange.method, exchange.path))

    def _check_request(self, where: str, schema: dict[str, Any], given: dict[str, str]) -> None:
        properties = schema.get("properties", {})
        for name, value in given.items():
            known = properties.get(name) or properties.get(re.sub(r"\d+$", "[n]", name))
            if known is None:
                self.violations.append(f"{where}: unknown parameter {name}")
            else:
                self._check(f"{where}: {name}", known, value)
                if known.get("requires") and known["requires"] not in given:
                    self.violations.append(f"{where}: {name} requires {known['requires']}")
        for name, known in properties.items():
            if not known.get("optional") and "[n]" not in name and name not in given:
                self.violations.append(f"{where}: {name} is missing")

    def _check(self, where: str, schema: dict[str, Any], value: Any) -> None:
        kind = schema.get("type")
        if kind == "array":
            if not isinstance(value, list):
                self.violations.append(f"{where}: {value!r} is no array")
                return
            for item in value:
                self._check(f"{where}[]", schema.get("items", {}), item)
        elif kind == "object":
            if not isinstance(value, dict):
                self.violations.append(f"{where}: {value!r} is no object")
                return
            for name, known in schema.get("properties", {}).items():
                if name in value:
                    self._check(f"{where}.{name}", known, value[name])
                elif not known.get("optional") and "[n]" not in name:
                    self.violations.append(f"{where}: {name} is missing")
        elif kind is not None:
            self._check_scalar(where, schema, kind, value)

    def _check_scalar(self, where: str, schema: dict[str, Any], kind: str, value: Any) -> None:
        text = str(value)
        fits = {
            # Perl's JSON writes numbers now as numbers, now as strings.
            "boolean": text in {"0", "1"},
            "integer": re.fullmatch(r"-?\d+", text) is not None,
            "number": re.fullmatch(r"-?\d+(\.\d+)?", text) is not None,
            "string": isinstance(value, str),
            "null": value is None,
        }
        if not fits.get(kind, True) or isinstance(value, bool):
            self.violations.append(f"{where}: {value!r} is no {kind}")
        if schema.get("enum") and text not in schema["enum"]:
            self.violations.append(f"{where}: {text!r} is none of {schema['enum']}")
        if "maxLength" in schema and len(text) > schema["maxLength"]:
            self.violations.append(f"{where}: longer than {schema['maxLength']}")
        pattern = schema.get("pattern")
        if pattern and not re.fullmatch(pattern.replace("(?^:", "(?:"), text):
            self.violations.append(f"{where}: {text!r} does not match {pattern}")
        self._check_format(where, schema.get("format"), text)

    def _check_format(self, where: str, form: Any, text: str) -> None:
        if isinstance(form, str) and form in _FORMATS and not re.fullmatch(_FORMATS[form], text):
            self.violations.append(f"{where}: {text!r} is no {form}")
        if not isinstance(form, dict):
            return
        default = next((name for name, known in form.items() if known.get("default_key")), None)
        for part in text.split(","):
            name, equals, value = part.partition("=")
            if not equals:
                name, value = str(default), part
            if name not in form:
                self.violations.append(f"{where}: unknown option {name!r}")
            elif "alias" not in form[name]:
                self._check_scalar(f"{where},{name}", form[name], form[name].get("type", "string"), value)


def _pattern(path: str) -> str:
    return re.sub(
        r"\\\{(\w+)\\\}", lambda match: f"(?P<{match[1]}>{'.+' if match[1] == 'volume' else '[^/]+'})", re.escape(path)
    )
