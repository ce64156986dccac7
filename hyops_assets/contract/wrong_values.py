"""What is wrong in a document or in inputs, in words of ours: the library that validates writes for programmers.

Every message that quotes a `ValidationError` is made here; a test holds that no other file reads the library's text.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_PLAIN: Mapping[str, str] = {
    "extra_forbidden": "there is no such key",
    "missing": "is missing",
    "string_type": "has to be a text",
    "string_unicode": "has to be a text",
    "string_pattern_mismatch": "does not have the form {pattern}",
    "string_too_short": "has fewer than {min_length} characters",
    "string_too_long": "has more than {max_length} characters",
    "too_short": "has fewer than {min_length} entries",
    "too_long": "has more than {max_length} entries",
    "int_type": "has to be a whole number",
    "int_parsing": "has to be a whole number",
    "int_parsing_size": "has to be a smaller whole number",
    "int_from_float": "has to be a whole number",
    "float_type": "has to be a number",
    "float_parsing": "has to be a number",
    "finite_number": "has to be a finite number",
    "bool_type": "has to be true or false",
    "bool_parsing": "has to be true or false",
    "greater_than": "has to be more than {gt}",
    "greater_than_equal": "has to be at least {ge}",
    "less_than": "has to be less than {lt}",
    "less_than_equal": "has to be at most {le}",
    "literal_error": "has to be {expected}",
    "enum": "has to be {expected}",
    "none_required": "has to be empty",
    "dict_type": "has to be a mapping of keys to values",
    "mapping_type": "has to be a mapping of keys to values",
    "model_type": "has to be a mapping of keys to values",
    "model_attributes_type": "has to be a mapping of keys to values",
    "dataclass_type": "has to be a mapping of keys to values",
    "list_type": "has to be a list",
    "tuple_type": "has to be a list",
    "set_type": "has to be a list",
    "json_invalid": "is not JSON: {error}",
    "json_type": "is not JSON",
    "path_type": "has to be a path",
    "datetime_type": "has to be a time",
    "datetime_parsing": "has to be a time",
    "datetime_from_date_parsing": "has to be a time",
    "timezone_aware": "has to be a time with its zone",
    "url_parsing": "has to be a URL",
    "union_tag_invalid": "has to be one of {expected_tags}",
}
"""By the library's word for what is wrong; https://docs.pydantic.dev/latest/errors/validation_errors/ has them all."""
_OUR_OWN = frozenset({"value_error", "assertion_error"})
_OTHERWISE = "is not what belongs there"


def wrong_values(error: ValidationError, whole: str, *, most: int | None = None) -> str:
    """Return all that is wrong: `<place>: <what>; …`, in the library's order.

    The library's own messages quote no value; those of our validators may.

    Args:
        error: of a model.
        whole: what is named where no single key is wrong, such as `the file`.
        most: how many are named; all where None.
    """
    found = error.errors(include_input=False, include_url=False)[:most]
    return "; ".join(f"{_place(one['loc']) or whole}: {_what(one['type'], one.get('ctx', {}))}" for one in found)


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in parts)


def _what(kind: str, context: Mapping[str, Any]) -> str:
    if kind in _OUR_OWN:
        return str(context.get("error", _OTHERWISE))
    return _PLAIN.get(kind, _OTHERWISE).format(**context)
