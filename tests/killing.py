"""Run a piece of work again and again in a child that is killed at its first line, at its second, and so on."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

import pytest


def kills(some: int, of_all: int = 1) -> pytest.MarkDecorator:
    """Give a test its `every`: a few places to die at, spread over the work; in the long form many more.

    Args:
        some: of so many lines, or calls, one is taken in every run of the suite. Five to twenty kills: each costs a
            fork and, as a rule, the whole work once more.
        of_all: the same in the long form; 1 where the work is quick.
    """
    forms = [pytest.param(some, id="some"), pytest.param(of_all, id="all", marks=pytest.mark.long)]
    return pytest.mark.parametrize("every", forms)


def killed_at_each_line(work: Callable[[], object], *modules: ModuleType, every: int = 1) -> Iterator[int]:
    """Yield after each child that SIGKILL ended at a line of `modules`; stop when one lived to the end.

    `every` skips lines where the work is slow. Between two steps the caller looks at what was left, and puts the
    scene back in order.
    """
    files = {str(module.__file__) for module in modules}
    line = 1 - every
    while True:
        line += every
        if not _child_is_killed(work, files, line):
            return
        yield line


def _child_is_killed(work: Callable[[], object], files: set[str], line: int) -> bool:
    child = os.fork()
    if child == 0:
        try:
            sys.settrace(_killer(files, line))
            work()
        except BaseException:  # noqa: BLE001 - the child must not return into the test runner
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the work failed by itself when line {line} was to be killed"
    return False


def _killer(files: set[str], line: int) -> Callable[[FrameType, str, Any], Any]:
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace
