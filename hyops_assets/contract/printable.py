"""Text from elsewhere as it may be shown: on a terminal, in a log, in a database.

Names at a cloud, a server's answers and files' names may hold what moves a cursor, colours or hides a line, turns its
direction, or is no Unicode at all and ends the program that writes it.
"""

_KEPT = "\n\t"
_MOST_SHOWN = 8192
"""Characters of one message: a hundred lines. A server may answer with a megabyte of them."""
_LAST = 2048
"""Of those, from its end: a program's reason is its last line."""
_BLANKS = " \n\t"
_MOST_QUOTED = 500
"""Characters of a service's own sentence."""


def printable(text: str) -> str:
    """Return a text that changes no terminal and that every encoding holds: the rest of it stands as escapes."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in _KEPT else ascii(letter)[1:-1] for letter in text)


def shown(text: str) -> str:
    """Return a text from elsewhere as it may be shown: printable, and of a length that a person reads.

    What is too long is cut in its middle, at blanks: half of a secret would pass the redaction of whole ones.
    """
    text = printable(text)
    if len(text) <= _MOST_SHOWN:
        return text
    first, last = text[: _MOST_SHOWN - _LAST], text[-_LAST:]
    first = first[: max(first.rfind(blank) for blank in _BLANKS) + 1]
    last = last[min((at for blank in _BLANKS if (at := last.find(blank)) >= 0), default=len(last)) :]
    return f"{first}… ({len(text) - len(first) - len(last)} characters more) …{last}"


def one_line(text: str) -> str:
    """Return what a service says as one line of ours holds it: its line breaks would look like lines of ours."""
    words = " ".join(text.split())
    return words if len(words) <= _MOST_QUOTED else f"{words[:_MOST_QUOTED].rpartition(' ')[0]} …"
