from datetime import date
from typing import Any

import pytest

from hyops_assets.contract.plain_documents import MOST_LEVELS, MOST_VALUES, NotPlain, require_plain


def containing_itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def multiplied() -> list[Any]:
    found: list[Any] = ["x"] * 10
    for _ in range(8):
        found = [found] * 10
    return found


def nested(levels: int) -> Any:
    found: Any = "x"
    for _ in range(levels):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    "document",
    [
        None,
        "x",
        1,
        -1.5,
        True,
        date(2026, 3, 3),
        {"a": ["ä", {1: None}]},
        nested(MOST_LEVELS),
        ["x"] * (MOST_VALUES - 1),
    ],
)
def test_plain_values_are_let_pass(document: Any) -> None:
    require_plain(document)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (containing_itself(), "contains itself"),
        (nested(MOST_LEVELS + 1), "deeper than"),
        (multiplied(), "more than 20000 values"),
        (["x"] * MOST_VALUES, "more than 20000 values"),
        ({"notes": {date(2026, 3, 3): 1}}, "a date is no name: 2026-03-03"),
        ([1 << 65], "64 bits"),
        ({1 << 65: 1}, "64 bits"),
        ("\0", "NUL"),
        ({"\ud800": 1}, "half a character"),
        (b"x", "of the kind bytes"),
        ({"a": {1, 2}}, "of the kind set"),
        ({(1,): 1}, "of the kind tuple"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) > 3 else None,
)
def test_what_no_model_takes_is_refused_before_anything_reads_it(document: Any, why: str) -> None:
    with pytest.raises(NotPlain, match=why) as refusal:
        require_plain(document)
    assert refusal.value.hint
