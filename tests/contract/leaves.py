"""Every value that people write freely into a model, with all that is demanded of it: for tests that walk them."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

HUGE = [float("inf"), float("-inf"), float("nan"), 10**30, -(10**30), 10.0**300]
TEXTS = ["a\0b", "a\x1b[2J", "x" * 100_000]
LINES = [*TEXTS, "a\nb: c"]

FREE = {str, int, float, Path}
CLOSED = {bool, NoneType, date}


def leaves(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type, Any]]:
    """Every value that a user writes freely: its key, its type, and that with all that is demanded of it."""
    for name, field in model.model_fields.items():
        yield from _leaves(field.annotation, tuple(field.metadata), f"{path}.{name}".lstrip("."))


def _leaves(annotation: Any, demanded: tuple[Any, ...], path: str) -> Iterator[tuple[str, type, Any]]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _leaves(arguments[0], (*demanded, *arguments[1:]), path)
    elif origin in {Union, UnionType}:
        for argument in arguments:
            yield from _leaves(argument, demanded, path)
    elif origin in {list, tuple, dict}:
        for argument in arguments:
            yield from _leaves(argument, (), f"{path}[]")
    elif origin is Literal or annotation in CLOSED or annotation is Ellipsis:
        return
    elif annotation in FREE:
        yield path, annotation, Annotated[(annotation, *demanded)] if demanded else annotation
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from leaves(annotation, path)
    else:
        raise AssertionError(f"{path}: a type that this test does not know: {annotation}")
