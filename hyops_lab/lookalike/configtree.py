"""A stand-in for `vyos.configtree` in the look-alike: parse, change and print a VyOS configuration.

It behaves as VyOS' library does towards a caller of these methods; it is no part of VyOS and shares no code with
it. It imports nothing of this project, because it is installed in the guest.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<comment>/\*.*?\*/) | (?P<brace>[{}])
    | "(?P<quoted>(?:\\.|[^"\\])*)" | '(?P<single>[^']*)' | (?P<word>[^\s{}"';]+) | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
_FOOTER = re.compile(r"^// ", re.MULTILINE)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t"}


class ConfigTreeError(Exception):
    """A path or a value that is not there."""


class _Node:
    def __init__(self, *, tag: bool = False) -> None:
        self.children: dict[str, _Node] = {}
        self.values: list[str] = []
        self.tag = tag


class ConfigTree:
    """A configuration, parsed from the text of a config.boot; an empty text is an empty configuration."""

    def __init__(self, config_string: str = "") -> None:
        start = _FOOTER.search(config_string)
        self._footer = config_string[start.start() :] if start else ""
        self._root = _Node()
        body = config_string[: start.start()] if start else config_string
        tokens = list(_tokens(body))
        end = _parse(tokens, 0, self._root)
        if end != len(tokens):
            raise _syntax_error(tokens[end], "unexpected closing brace")

    def set(self, path: list[str], value: str | None = None, replace: bool = True) -> None:  # noqa: FBT001, FBT002
        """Create a node; with a value, set it, or add it where `replace` is false."""
        node = self._root
        for word in [part for element in path for part in str(element).split()]:
            if word not in node.children:
                # A new node is printed before its older siblings.
                node.children = {word: _Node(), **node.children}
            node = node.children[word]
        if value is not None:
            kept = [] if replace else node.values
            node.values = kept if value in kept else [*kept, str(value)]

    def set_tag(self, path: list[str]) -> None:
        """Print the node's children as `node child { … }`."""
        self._find(path, f"Path doesn't exist: {path}").tag = True

    def delete(self, path: list[str]) -> None:
        """Remove a node and all below it."""
        self._find(path, f"Path doesn't exist: {path}")
        del self._find(path[:-1]).children[path[-1]]

    def delete_value(self, path: list[str], value: str) -> None:
        """Remove one value of a node; the node goes with its last value."""
        node = self._find(path, f"Path doesn't exist: {path}")
        if value not in node.values:
            raise ConfigTreeError(f"Value doesn't exist: {value}")
        node.values.remove(value)
        if not node.values:
            self.delete(path)

    def exists(self, path: list[str]) -> bool:
        """Return whether there is such a node."""
        node = self._root
        for word in path:
            if word not in node.children:
                return False
            node = node.children[word]
        return True

    def list_nodes(self, path: list[str]) -> list[str]:
        """Return the names of a node's children."""
        return list(self._find(path).children)

    def return_value(self, path: list[str]) -> str:
        """Return a node's first value."""
        return self.return_values(path)[0]

    def return_values(self, path: list[str]) -> list[str]:
        """Return all values of a node."""
        values = self._find(path).values
        if not values:
            raise ConfigTreeError(f"Path doesn't have a value: {path}")
        return list(values)

    def to_string(self) -> str:
        """Return the text of a config.boot, footer included."""
        return "".join(_print(self._root, 0)) + f"\n\n{self._footer}"

    def to_commands(self) -> str:
        """Return one `set` line per leaf."""
        return "\n".join(_commands(self._root, []))

    def _find(self, path: list[str], missing: str | None = None) -> _Node:
        node = self._root
        for word in path:
            if word not in node.children:
                raise ConfigTreeError(missing or f"Path {[part.encode() for part in path]} doesn't exist")
            node = node.children[word]
        return node


@dataclass(frozen=True)
class _Token:
    """A piece of a configuration's text, and where it stands: lines and characters are counted from 1."""

    kind: str
    text: str
    line: int
    character: int


def _syntax_error(at: _Token, what: str) -> ValueError:
    return ValueError(f"Failed to parse config: Syntax error on line {at.line}, character {at.character}: {what}")


def _tokens(text: str) -> Iterator[_Token]:
    position, line, line_start = 0, 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _syntax_error(_Token("", "", line, position - line_start + 1), "no token of a configuration")
        kind = match.lastgroup or ""
        here = (line, position - line_start + 1)
        if kind in {"quoted", "single"}:
            raw = match[kind]
            yield _Token("value", _ESCAPE.sub(_unescaped, raw) if kind == "quoted" else raw, *here)
        elif kind in {"brace", "word"}:
            yield _Token(kind, match[kind], *here)
        if "\n" in match[0]:
            line += match[0].count("\n")
            line_start = position + match[0].rindex("\n") + 1
            if kind == "space":
                yield _Token("newline", "", *here)
        position = match.end()


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[1], match[1])


def _parse(tokens: list[_Token], at: int, node: _Node) -> int:
    """Parse until the closing brace of `node`, and return that brace's index (or the end)."""
    words: list[_Token] = []
    while at < len(tokens):
        token = tokens[at]
        if (token.kind, token.text) == ("brace", "{"):
            child = _child(node, words, token)
            at = _parse(tokens, at + 1, child)
            if at >= len(tokens):
                raise _syntax_error(token, "this brace is never closed")
            words = []
        elif token.kind in ("newline", "brace"):
            _leaf(node, words)
            words = []
            if token.kind == "brace":
                return at
        else:
            words.append(token)
        at += 1
    _leaf(node, words)
    return at


def _child(node: _Node, words: list[_Token], brace: _Token) -> _Node:
    if len(words) not in {1, 2}:
        raise _syntax_error(brace, "a brace needs one or two names")
    child = node.children.setdefault(words[0].text, _Node(tag=len(words) == 2))
    return child.children.setdefault(words[1].text, _Node()) if len(words) == 2 else child


def _leaf(node: _Node, words: list[_Token]) -> None:
    if not words:
        return
    if len(words) > 2:
        raise _syntax_error(words[2], "a leaf has one value")
    child = node.children.setdefault(words[0].text, _Node())
    child.values += [word.text for word in words[1:]]


def _quote(value: str) -> str:
    return '"' + value.replace('"', '\\"').replace("\n", "\\n") + '"'


def _print(node: _Node, depth: int) -> Iterator[str]:
    indent = "    " * depth
    for name, child in node.children.items():
        if child.values:
            yield from (f"{indent}{name} {_quote(value)}\n" for value in child.values)
        elif not child.children:
            # Also a group or a tag node from which everything was deleted.
            yield f"{indent}{name}\n"
        elif child.tag:
            for key, below in child.children.items():
                yield from _block(f"{indent}{name} {key}", below, depth)
        else:
            yield from _block(f"{indent}{name}", child, depth)


def _block(head: str, node: _Node, depth: int) -> Iterator[str]:
    yield f"{head} {{\n"
    # A tag node's own entry may carry a value when a caller forgot set_tag: shown, so that the mistake is seen.
    yield from (f"{'    ' * (depth + 1)}{_quote(value)}\n" for value in node.values)
    yield from _print(node, depth + 1)
    yield f"{'    ' * depth}}}\n"


def _commands(node: _Node, path: list[str]) -> Iterator[str]:
    for name, child in node.children.items():
        here = [*path, name]
        if child.values:
            yield from (f"set {' '.join(here)} '{value}'" for value in child.values)
        elif child.children:
            yield from _commands(child, here)
        else:
            yield f"set {' '.join(here)}"
