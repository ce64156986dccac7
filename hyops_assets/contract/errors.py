"""The errors of every floor: what was wrong, where, and what to do next.

Lives here: the base types that all typed errors derive from. A floor's own errors live beside the code that
raises them.
"""

from hyops_assets.contract.printable import printable


class HyopsError(Exception):
    """An error a user can act on. What it quotes from elsewhere is printable as it is.

    Args:
        message: what was wrong, with the value found and the value expected.
        hint: the next step, as an imperative sentence.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        self.message = printable(message)
        self.hint = printable(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}"


class TransientError(HyopsError):
    """Something outside failed in a way that a later attempt may survive; everything else is permanent."""


class Refused(HyopsError):
    """The request breaks a rule of the contract. Nothing was changed."""
