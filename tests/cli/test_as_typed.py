"""Every command that a text of the program names carries the environment that the caller named."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.cli.as_typed import as_typed, command_in, commands_with
from tests.cli.shell import CHECKOUT
from tests.sources import PACKAGES

BUILD = "core/shared/vyos-image-build"
OF_ENVIRONMENT = ["apply", "--env", "prod", "--module", BUILD, "--inputs", "build.yml"]
ANOTHER_PROGRAM = re.compile(r"HybridOps' hyops \S+|a fault of hyops|version of hyops|nothing of hyops")
PROSE = {"hyops runs", "hyops on"}


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("start it: hyops dev", "start it: hyops dev --env prod"),
        ("look at it (hyops drift), repeat", "look at it (hyops drift --env prod), repeat"),
        ("hyops lab up, then hyops seed --missing", "hyops lab up --env prod, then hyops seed --env prod --missing"),
        ("another one: hyops lab up --env lab", "another one: hyops lab up --env lab"),
        ("hyops lab up --env lab; hyops seed", "hyops lab up --env lab; hyops seed --env prod"),
        (f"again: hyops apply --module {BUILD}", f"again: hyops apply --env prod --inputs build.yml --module {BUILD}"),
        ("hyops apply --module core/x/y", "hyops apply --env prod --module core/x/y"),
        ("see hyops convert", "see hyops convert"),
        ("a fault of hyops itself", "a fault of hyops itself"),
    ],
)
def test_a_command_in_a_text_carries_the_caller_s_environment(said: str, typed: str) -> None:
    assert as_typed(said, OF_ENVIRONMENT) == typed
    assert as_typed(typed, OF_ENVIRONMENT) == typed


def test_a_root_counts_as_an_environment_and_a_caller_who_named_none_is_left_alone() -> None:
    assert as_typed("hyops seed", ["drift", "--root=/srv/a b"]) == "hyops seed --root '/srv/a b'"
    assert as_typed("hyops seed", ["drift"]) == "hyops seed"


def texts_in(path: Path) -> Iterator[str]:
    """The texts of a module that are not documentation; a value that is filled in is `{}`."""
    tree = ast.parse(path.read_text())
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            inside |= {id(part) for part in node.values}
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation | inside:
            yield node.value


TEXTS = sorted(
    {
        (str(path.relative_to(CHECKOUT)), text)
        for floor in PACKAGES
        for path in (CHECKOUT / floor).rglob("*.py")
        for text in texts_in(path)
        if re.search(r"\bhyops [a-z]", text) and not text.lstrip().startswith("Written by")
    }
)


def test_every_hint_names_commands_that_are_there_and_is_printed_with_the_caller_s_environment() -> None:
    assert len(TEXTS) > 50
    wrong: list[str] = []
    for where, text in TEXTS:
        left = ANOTHER_PROGRAM.sub("", text)
        for words in re.findall(r"\bhyops ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", left):
            command = command_in(words)
            if f"hyops {words.partition(' ')[0]}" in PROSE or "hyops lab {}" in left:
                continue
            if not command:
                wrong.append(f"{where}: no command {words!r}: {text}")
            elif command in commands_with("--env"):
                printed = as_typed(left, OF_ENVIRONMENT)
                if not re.search(rf"\bhyops {command} (?:--env prod\b|[^;,)\n]*(?:--env|--root|{{}}))", printed):
                    wrong.append(f"{where}: {printed}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--root", "/tmp/\x1b[31m\nx"], "hyops seed --root '/tmp/\\x1b[31m\\nx'"),
        (["--root", "/tmp/r\udcff"], "hyops seed --root '/tmp/r\\udcff'"),
        (["--env="], "hyops seed"),
        (["--", "--env", "dev"], "hyops seed"),
    ],
    ids=["orders to a terminal", "bytes of no encoding", "an empty name", "words behind the options"],
)
def test_what_is_added_is_one_quoted_value_that_changes_no_terminal(argv: list[str], said: str) -> None:
    assert as_typed("hyops seed", argv) == said
    said.encode()


def test_a_secret_that_was_typed_as_a_name_is_not_printed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "s3cretvalue9999zz")
    assert "s3cretvalue" not in as_typed("make it: hyops init", ["--env", "s3cretvalue9999zz"])


def test_inputs_are_those_of_the_module_that_was_named_and_of_no_longer_name() -> None:
    given = ["--module", "core/onprem/vyos-template", "--inputs", "i.yml"]
    assert as_typed("hyops apply --module core/onprem/vyos-template-seed", given).endswith("vyos-template-seed")
