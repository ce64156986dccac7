"""Commands in texts for people, as the caller would type them: with the environment and the inputs that they gave.

An error's hint is written where the error is known, on floors that know no command line: it says `hyops seed`. To a
caller who gave `--env prod`, `hyops seed --env prod` is printed. This is the one place that adds it; lines pass it as
they are printed (`main.py`, `console.py`, `Recorded.say`). Where a variable names the environment, nothing is missing.
"""

import re
import shlex
import sys
from collections.abc import Sequence
from functools import cache

import click

from hyops_assets.contract.printable import printable

_COMMAND = re.compile(r"\bhyops (?P<words>[a-z][a-z-]*(?: [a-z][a-z-]*)?)")
_ENDS = re.compile(r"[;,)`\n]| (?:and|or|adopts|registers) |\bhyops ")
"""What ends a command in a sentence; flags of its own are looked for up to there."""
_PLACES = ("--env", "--root")
_GIVEN = (*_PLACES, "--module", "--inputs")


def as_typed(text: str, argv: Sequence[str] | None = None) -> str:
    """Return a text whose `hyops` commands carry the `--env` or `--root` that the caller gave, where they take it.

    A command that names another environment stays as it is. One for the caller's own module gets their `--inputs` too.

    Args:
        text: a line, or an error with its hint.
        argv: the caller's words, without the program; those of this process where they are not given.
    """
    if "hyops " not in text:
        return text
    given = given_in(sys.argv[1:] if argv is None else argv)
    place = next((f"{flag} {_shown(given[flag])}" for flag in _PLACES if flag in given), "")
    if not place and "--inputs" not in given:
        return text

    def completed(match: re.Match[str]) -> str:
        words = command_in(match["words"])
        if words not in commands_with("--env"):
            return match[0]
        tail = match[0].removeprefix(f"hyops {words}")
        rest = tail + text[match.end() :]
        own = rest[: end.start()] if (end := _ENDS.search(rest)) else rest
        adds = [] if not place or any(flag in own for flag in _PLACES) else [place]
        if "--inputs" in given and "--inputs" not in own and _names_module(own, given.get("--module", "")):
            adds.append(f"--inputs {_shown(given['--inputs'])}")
        return " ".join([f"hyops {words}", *adds]) + tail

    return _COMMAND.sub(completed, text)


def _names_module(own: str, module: str) -> bool:
    """Tell whether a command is for the module that the caller named: another module has other inputs."""
    named = re.escape(module.partition("#")[0])
    return bool(module) and re.search(rf" --module {named}(?![\w/-])", own) is not None


def _shown(value: str) -> str:
    """Return a value as it stands in a line: quoted, nothing in it that a terminal obeys, and no secret."""
    from hyops_assets.cli.environment import redacted

    return shlex.quote(printable(redacted(value)).replace("\n", "\\n"))


def given_in(argv: Sequence[str]) -> dict[str, str]:
    """Return which place, module and inputs a command line names, by flag."""
    given: dict[str, str] = {}
    for at, word in enumerate(argv):
        if word == "--":
            break
        flag, equals, value = word.partition("=")
        value = value if equals else next(iter(argv[at + 1 :]), "")
        if flag in _GIVEN and value:
            given[flag] = value
    return given


def command_in(words: str) -> str:
    """Return the command that one or two words of a sentence name: `lab up`, or `seed` of `seed again`; else empty."""
    first = words.partition(" ")[0]
    known = commands_with()
    return words if words in known else first if first in known else ""


@cache
def commands_with(flag: str = "") -> frozenset[str]:
    """Return the commands that take a flag; all of them where it is empty."""
    from typer.main import get_group

    from hyops_assets.cli.main import app

    return frozenset(_below(get_group(app), (), flag))


def _below(group: click.Group, above: tuple[str, ...], flag: str) -> list[str]:
    found: list[str] = []
    for name, command in group.commands.items():
        path = (*above, name)
        if isinstance(command, click.Group):
            found += _below(command, path, flag)
        elif not flag or any(flag in one.opts for one in command.params):
            found.append(" ".join(path))
    return found
