"""Quantities in sentences for people: `1 difference`, `2 differences`."""


def quantity(count: int, noun: str) -> str:
    """Return a number with its noun.

    Args:
        count: how many.
        noun: one of them; its plural ends in `s`.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
