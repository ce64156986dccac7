"""Text from elsewhere as it may be shown: on a terminal, in a log, in a database.

Names at a cloud, a server's answers and files' names may hold what moves a cursor, colours or hides a line, turns its
direction, or is no Unicode at all and ends the program that writes it.
"""

_KEPT = "\n\t"


def printable(text: str) -> str:
    """Return a text that changes no terminal and that every encoding holds: the rest of it stands as escapes."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in _KEPT else ascii(letter)[1:-1] for letter in text)
