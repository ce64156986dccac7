"""The text of a VyOS configuration (config.boot), read as statements: what is said, and inside of what.

Reading never fails: a password in a damaged file must be found as well. What VyOS itself would not take is reported
beside the statements. The syntax is that of docs.vyos.io, "Configuration overview": nodes in braces, leaves on lines
of their own, values bare or in quotes, `/* comments */`, and a footer of `//` lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = " \t\r\f\v"
_QUOTES = "\"'"
_CLOSING = {'"': '"', "'": "'", "/*": "*/"}
_MOST_WORDS = 2
_DEEPEST = 64
"""VyOS' own configurations nest a dozen levels. What stands deeper is not reported further."""


@dataclass(frozen=True)
class Statement:
    """One node or leaf.

    Attributes:
        inside: the words of all nodes around it, outermost first: `("system", "login", "user", "vyos")`.
        words: its name and, where it has one, its tag or value: `("encrypted-password", "*")`.
        line: where it begins, counted from 1.
    """

    inside: tuple[str, ...]
    words: tuple[str, ...]
    line: int

    @property
    def name(self) -> str:
        """Its first word."""
        return self.words[0]

    @property
    def value(self) -> str:
        """Its second word; empty where it has none."""
        return self.words[1] if len(self.words) > 1 else ""


@dataclass(frozen=True)
class Configuration:
    """A configuration's statements in their order, and what is wrong with its text; nothing where VyOS takes it."""

    statements: tuple[Statement, ...]
    mistakes: tuple[str, ...]

    def named(self, name: str) -> list[Statement]:
        """Return the statements of this name, wherever they stand."""
        return [statement for statement in self.statements if statement.name == name]


def read_configuration(text: str) -> Configuration:
    """Read a configuration. Any text has an answer."""
    reader = _Reader(text)
    return Configuration(tuple(reader.statements()), tuple(reader.mistakes))


@dataclass(frozen=True)
class _Token:
    """A word, or one of the marks `{`, `}` and a line's end."""

    text: str
    line: int
    mark: bool = False


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self.mistakes: list[str] = []

    def statements(self) -> Iterator[Statement]:
        nodes: list[tuple[str, ...]] = []
        words: list[_Token] = []
        inside: tuple[str, ...] = ()
        line = 1
        for token in self._tokens():
            line = token.line
            if not token.mark:
                words.append(token)
                continue
            if words:
                yield self._statement(inside, words)
            if token.text == "{":
                self._opening(token.line, words, len(nodes))
                nodes.append(tuple(word.text for word in words) if len(nodes) < _DEEPEST else ())
                inside += nodes[-1]
            elif token.text == "}" and nodes:
                inside = inside[: len(inside) - len(nodes.pop())]
            elif token.text == "}":
                self._mistake(token.line, "a closing brace too many")
            words = []
        if nodes:
            self._mistake(line, f"{len(nodes)} closing braces are missing")

    def _opening(self, line: int, words: list[_Token], depth: int) -> None:
        if not words:
            self._mistake(line, "an opening brace without a name")
        if depth == _DEEPEST:
            self._mistake(line, f"more than {_DEEPEST} nodes inside of each other")

    def _statement(self, inside: tuple[str, ...], words: list[_Token]) -> Statement:
        if len(words) > _MOST_WORDS:
            self._mistake(words[0].line, f"{len(words)} words, expected a name and at most one value")
        return Statement(inside, tuple(word.text for word in words), words[0].line)

    def _tokens(self) -> Iterator[_Token]:
        """Yield words and marks in one pass; a quote or comment without an end is taken for a word's letter."""
        text, at, line = self._text, 0, 1
        endless: set[str] = set()
        while at < len(text):
            letter = text[at]
            if letter in _SPACE:
                at += 1
                continue
            if letter in "{}\n;":
                yield _Token(letter, line, mark=True)
                line += letter == "\n"
                at += 1
                continue
            if text.startswith("//", at):
                at = _or_end(text.find("\n", at), text)
                continue
            end = self._quotation_end(at, line, endless)
            if end is None:
                end = self._word_end(at, endless)
                yield _Token(text[at:end], line)
            elif letter in _QUOTES:
                yield _Token(_unquoted(text[at:end]), line)
            line += text.count("\n", at, end)
            at = end
        yield _Token("\n", line, mark=True)

    def _quotation_end(self, at: int, line: int, endless: set[str]) -> int | None:
        """Return where the quotation or comment that begins here ends; None where none begins, or it has no end.

        `endless` holds the marks that were found to have no end: they are not looked for twice.
        """
        begin = "/*" if self._text.startswith("/*", at) else self._text[at]
        closing = _CLOSING.get(begin)
        if closing is None or closing in endless:
            return None
        end = self._closing(closing, at + len(begin))
        if end is None:
            endless.add(closing)
            self._mistake(line, f"a {'comment' if closing == '*/' else 'quotation'} without an end")
        return end

    def _closing(self, closing: str, at: int) -> int | None:
        """Return where a quotation or comment is over; a backslash in double quotes guards what follows it."""
        text = self._text
        if closing != '"':
            found = text.find(closing, at)
            return None if found < 0 else found + len(closing)
        while at < len(text):
            if text[at] == '"':
                return at + 1
            at += 2 if text[at] == "\\" else 1
        return None

    def _word_end(self, at: int, endless: set[str]) -> int:
        stop = _SPACE + "{}\n;" + "".join(quote for quote in _QUOTES if quote not in endless)
        at += 1
        while at < len(self._text) and self._text[at] not in stop:
            at += 1
        return at

    def _mistake(self, line: int, what: str) -> None:
        self.mistakes.append(f"line {line}: {what}")


def _or_end(found: int, text: str) -> int:
    return len(text) if found < 0 else found


def _unquoted(piece: str) -> str:
    inner = piece[1:-1]
    return inner.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\") if piece[0] == '"' else inner
