"""What a document that people write may hold before a model looks at it: plain values, and not too many.

YAML's references let a file of one kilobyte stand for gigabytes, or contain itself; its tags make values that no JSON
has. Whatever reads such a document afterwards would run out of memory, or fail with an untyped error.
"""

from datetime import date
from typing import Any

from hyops_assets.contract.errors import Refused

MOST_VALUES = 20_000
"""With every reference written out. The largest of our own files has some hundreds."""

MOST_LEVELS = 32
_MOST_BITS = 64


class NotPlain(Refused):
    """A document holds something that no model of ours takes."""


def require_plain(document: Any) -> None:
    """Return where a document is made of mappings, lists and scalars that JSON can hold (and dates), within bounds.

    Raises:
        NotPlain: it contains itself, nests deeper than 32 levels, holds more than 20,000 values, a number of more than
            64 bits, a text that is no Unicode or has a NUL, a name or a value of another kind.
    """
    open_: list[tuple[Any, int]] = [(document, 0)]
    seen = 0
    while open_:
        value, level = open_.pop()
        seen += 1
        if level > MOST_LEVELS:
            raise NotPlain(f"it nests deeper than {MOST_LEVELS} levels, or contains itself", hint="write it flat")
        # Counted before they are looked at: with references there may be more than fit into memory.
        if isinstance(value, dict | list) and seen + len(open_) + len(value) > MOST_VALUES:
            raise NotPlain(f"it holds more than {MOST_VALUES} values", hint="keep what is asked for only")
        if isinstance(value, dict):
            for name, item in value.items():
                if isinstance(name, date):
                    raise NotPlain(f"a date is no name: {name}", hint=f'write it in quotes: "{name}"')
                _require_scalar(name)
                open_.append((item, level + 1))
        elif isinstance(value, list):
            open_ += [(item, level + 1) for item in value]
        else:
            _require_scalar(value)


def _require_scalar(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise NotPlain("a text has a NUL or half a character", hint="write texts in UTF-8")
    elif isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise NotPlain(f"a number has more than {_MOST_BITS} bits", hint="write it in quotes, if it is a text")
    elif value is not None and not isinstance(value, float | date):
        raise NotPlain(f"a value is of the kind {type(value).__name__}", hint="write texts, numbers, lists, mappings")
