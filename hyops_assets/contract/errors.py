"""The errors of every floor: what was wrong, where, and what to do next.

Lives here: the base types that all typed errors derive from. A floor's own errors live beside the code that
raises them.
"""

import shlex

from hyops_assets.contract.printable import shown

NEXT = "\n  next: "
"""What stands between an error's message and its hint, where both are one text."""


class HyopsError(Exception):
    """An error a user can act on. What it quotes from elsewhere is printable and bounded as it is.

    Args:
        message: what was wrong, with the value found and the value expected.
        hint: the next step, as an imperative sentence.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        self.message = shown(message)
        self.hint = shown(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}{NEXT}{self.hint}"


class TransientError(HyopsError):
    """Something outside failed in a way that a later attempt may survive; everything else is permanent."""


class LeadsNowhere(HyopsError):
    """Nothing is found under a name, such as a version or a site: it was mistyped, or what it named is gone.

    The UI's dialog makes any text a partition; the run that then finds nothing says how it is forgotten.
    """

    def of_partition(self, partition: str) -> None:
        """Add to the hint how the partition of a run is forgotten, unless it stands there already.

        Args:
            partition: a record version, or `proxmox/<site>` or `hetzner/<site>`; as text from a dialog, anything.
        """
        forgetting = f"hyops forget {shlex.quote(partition)} --apply"
        if forgetting not in self.hint:
            self.hint += f"; if the partition was mistyped, forget it: {forgetting}, or the job forget_partition"


class Refused(HyopsError):
    """The request breaks a rule of the contract. Nothing was changed."""


def said_by_system(error: BaseException) -> str:
    """Return in one line what an error says that is not ours; of one of the system its words, not its number."""
    words = error.strerror if isinstance(error, OSError) else None
    return " ".join((words or str(error) or type(error).__name__).split())
