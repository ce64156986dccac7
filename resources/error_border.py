"""The border to Dagster: what an exception of ours, or of a library, may say in the event log and in the UI.

Dagster writes down an exception with its whole chain. Libraries quote what they were given: headers, URLs, keys. So
each function that Dagster calls (assets, checks, sensors, schedules, resources, the IO manager, the code
location) is `bordered`: an error of ours goes through without the library's error beneath it, which it has put into
its own words; an error that nothing foresaw goes through with the secrets of this process blacked out.
`tests/resources/test_error_border.py` holds that none of these functions is without it.
"""

import inspect
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.redaction import Redactor
from resources.secrets import redactor

P = ParamSpec("P")
R = TypeVar("R")
_MOST_TEXT = 2000
_MOST_CHAIN = 16


class Unforeseen(Exception):
    """An error that nothing foresaw, without the secrets that stood in it. Its text begins with the former class."""


def bordered(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that Dagster may call: what it raises can be written down."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def yields(*args: P.args, **named: P.kwargs) -> Generator[Any, Any, Any]:
            try:
                return (yield from cast("Generator[Any, Any, Any]", function(*args, **named)))
            except Exception as error:  # noqa: BLE001 - all that leaves
                shown = presentable(error, redactor())
            raise shown

        return cast("Callable[P, R]", yields)

    @wraps(function)
    def returns(*args: P.args, **named: P.kwargs) -> R:
        try:
            return function(*args, **named)
        except Exception as error:  # noqa: BLE001 - all that leaves
            shown = presentable(error, redactor())
        # Outside of the handler: inside, Python would chain the former error to it.
        raise shown

    return returns


def said_of(error: HyopsError) -> str:
    """Return what an error of ours that was caught says, as text that Dagster may store: a reason, a finding."""
    return redactor().text(error.message)


def presentable(error: BaseException, redactor: Redactor) -> BaseException:
    """Return an error that can be written down with its chain: itself where it can be mended, else a stand-in.

    Errors of ours keep their class, and beneath them only errors of ours. Errors of Dagster's own, such as a request
    for another try, keep their class too, and what they were raised from is made presentable.
    """
    return _presentable(error, redactor, _MOST_CHAIN)


def _presentable(error: BaseException, redactor: Redactor, left: int) -> BaseException:
    beneath = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if isinstance(error, HyopsError):
        error.message = redactor.text(error.message)
        error.hint = redactor.text(error.hint)
        error.args = (error.message,)
        shown = error
        beneath = beneath if isinstance(beneath, HyopsError) else None
    elif _can_stay(error, redactor):
        shown = error
    else:
        said = redactor.text(f"{type(error).__name__}: {_text(error)}")
        shown = Unforeseen(said[:_MOST_TEXT]).with_traceback(error.__traceback__)
    if notes := getattr(shown, "__notes__", None):
        shown.__notes__ = [redactor.text(str(note)) for note in notes]
    shown.__context__ = None
    shown.__cause__ = _presentable(beneath, redactor, left - 1) if beneath is not None and left > 0 else None
    return shown


def _can_stay(error: BaseException, redactor: Redactor) -> bool:
    """Tell whether an error that is not ours is to keep its class."""
    if isinstance(error, BaseExceptionGroup):
        return False
    text = _text(error)
    return len(text) <= _MOST_TEXT and redactor.text(text) == text


def _text(error: BaseException) -> str:
    # An error's own `__str__` may fail as well, and that is no reason to lose the error.
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001
        return f"(its text cannot be had: {type(failed).__name__})"
