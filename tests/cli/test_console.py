"""What commands print is text, whatever a cloud, a disk or a state holds."""

import io
import re
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import hyops_assets.cli
from hyops_assets.cli.console import PrintableConsole


def shown(printed: str | Table | Text) -> str:
    out = io.StringIO()
    PrintableConsole(file=out, force_terminal=True, width=100).print(printed)
    return out.getvalue()


@pytest.mark.parametrize(
    "foreign", ["[/tmp/x]", "[red]word[/red]", ":warning:", "[link=https://evil.example]x[/link]"]
)
def test_brackets_and_colons_are_shown_as_they_are(foreign: str) -> None:
    table = Table(title=foreign)
    table.add_column("name")
    table.add_row(foreign)
    assert foreign in shown(foreign)
    assert shown(table).count(foreign) == 2


def test_orders_to_a_terminal_are_shown_as_letters() -> None:
    table = Table("name", box=None)
    table.add_row("a\x1b[2Jb\x9b31m\u202e")
    for text in (shown("a\x1b]0;title\x07b\ud800"), shown(table)):
        assert "\x1b[2J" not in text
        assert "\x1b]" not in text
        assert "\\x1b" in text
        text.encode()


def test_what_is_ours_is_still_coloured() -> None:
    assert "\x1b[32m" in shown(Text("passed", "green"))


def test_no_command_prints_on_another_console() -> None:
    made = re.compile(r"(?<!Printable)\bConsole\((?!\):)|markup\.escape|from_markup")
    for path in Path(hyops_assets.cli.__file__).parent.rglob("*.py"):
        lines = [line for line in path.read_text().splitlines() if "class " not in line]
        assert not made.search("\n".join(lines)), path
