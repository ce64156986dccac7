"""Every `hyops` line that the pages print can be followed: command, flags, module and example file exist.

Weaker than running them: nothing is invoked. Those of the source document run in `test_document.py`.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_group

from hyops_assets.cli.main import app
from hyops_assets.cli.modules.registry import MODULES

CHECKOUT = Path(__file__).parents[2]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]


def printed_lines() -> Iterator[tuple[str, str]]:
    """The `hyops` lines of fenced blocks, continuation lines joined, each with its page."""
    for page in PAGES:
        for block in re.findall(r"^ *```[a-z]*\n(.*?)^ *```$", page.read_text(), flags=re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                # What follows after `&&` is a line of its own.
                for one in (part.strip() for part in line.split(" && ")):
                    if one.startswith("hyops "):
                        yield str(page.relative_to(CHECKOUT)), one


LINES = sorted(set(printed_lines()))


def test_the_pages_print_commands() -> None:
    assert len({page for page, _ in LINES}) >= 5


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page}: {line}"[:100] for page, line in LINES])
def test_a_printed_line_can_be_followed(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command, above = get_group(app), None
    while isinstance(command, TyperGroup):
        above = command.make_context("hyops", [], parent=above, resilient_parsing=True)
        name = words.pop(0)
        found = command.get_command(above, name)
        assert found is not None, f"{page}: no command {name}"
        command = found
    asked = command.make_context(command.name, words, parent=above).params
    if module := asked.get("module"):
        assert module in MODULES
    if (inputs := str(asked.get("inputs"))).startswith("modules/"):
        assert (CHECKOUT / inputs).is_file()
