"""JSON that somebody else wrote: a value, or a ValueError, whatever it holds.

Python's parser ends a deeply nested text in RecursionError, which no reader of JSON expects.
"""

import json
from typing import Any


def parsed_json(text: str | bytes, *, strict: bool = True) -> Any:
    """Return the value of a JSON text.

    Args:
        text: in UTF-8, UTF-16 or UTF-32 where it is bytes.
        strict: refuse control characters inside of texts.

    Raises:
        ValueError: it is none, or nests deeper than Python follows.
    """
    try:
        return json.loads(text, strict=strict)
    except RecursionError:
        message = "it nests too deeply"
    raise ValueError(message)
