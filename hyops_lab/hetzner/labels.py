"""Labels as the API accepts and selects them (https://docs.hetzner.cloud/reference/cloud, "Labels")."""

import re
from collections.abc import Callable, Mapping

_KEY = re.compile(r"([a-z0-9A-Z]([a-z0-9A-Z._-]{0,251}[a-z0-9A-Z])?/)?[a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?")
_VALUE = re.compile(r"([a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?)?")
_TERM = re.compile(r"(?P<key>[^!=,() ]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^=,()]*)")
_SET = re.compile(r"(?P<key>[^!=,() ]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_SPLIT = re.compile(r",(?![^(]*\))")

Predicate = Callable[[Mapping[str, str]], bool]


class BadLabels(ValueError):
    """Labels or a selector that the API refuses."""


def require_labels(labels: object) -> dict[str, str]:
    """Return labels unchanged.

    Raises:
        BadLabels: not text to text, or longer than 63 characters, or with a character that is not allowed.
    """
    if not isinstance(labels, dict):
        raise BadLabels("labels is not an object")
    for key, value in labels.items():
        if not isinstance(value, str) or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise BadLabels(f"label {key} is not correctly formatted")
        if key.startswith("hetzner.cloud/"):
            raise BadLabels(f"label {key} uses a reserved prefix")
    return labels


def parse_selector(selector: str) -> Predicate:
    """Return the test that a selector writes down: all of `k=v`, `k!=v`, `k`, `!k`, `k in (a,b)`, `k notin (a,b)`.

    Raises:
        BadLabels: it is none of these.
    """
    predicates = [_predicate(term.strip()) for term in _SPLIT.split(selector)]
    return lambda labels: all(predicate(labels) for predicate in predicates)


def _predicate(term: str) -> Predicate:
    if match := _SET.fullmatch(term):
        key, values = match["key"], {value.strip() for value in match["values"].split(",")}
        if match["operator"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _TERM.fullmatch(term):
        key, value = match["key"], match["value"].strip()
        if match["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    bare = term.removeprefix("!").strip()
    if not _KEY.fullmatch(bare):
        raise BadLabels(f"label selector {term!r} is not correctly formatted")
    return (lambda labels: bare not in labels) if term.startswith("!") else (lambda labels: bare in labels)
