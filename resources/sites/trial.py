"""A site as an acceptance run tries it: what it would ask for and cost, whether it may, and removing what it made.

What belongs here: the shape. A cloud's part stands in its folder's `trial.py`; the run is `hyops acceptance`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import Record
from hyops_assets.contract.upkeep import Finding, Needed


@dataclass(frozen=True)
class Call:
    """One call: `SSH` for a command on the server that writes. `{…}` in a path is an id that is not known before."""

    method: str
    path: str
    why: str


@dataclass(frozen=True)
class Terms:
    """What a seed that costs money takes and costs at most.

    Attributes:
        eur: net.
        said: what is paid for, in words.
        facts: the same, for the run record.
    """

    eur: float
    said: str
    facts: Mapping[str, Any]


class Trial(Protocol):
    """One site."""

    @property
    def terms(self) -> Terms | None:
        """What was fixed by `priced`; None where nothing was, or the site costs nothing."""
        ...

    @property
    def options(self) -> Mapping[str, object]:
        """What the seed is asked for, by field of the cloud's options: what was priced, and nothing dearer."""
        ...

    @property
    def reads_back(self) -> bool:
        """Whether a seed that made something here says what it read back, as `readback_sha256`."""
        ...

    def priced(self, disk_bytes: int) -> Self:
        """Return the trial with its terms for a disk, by the prices now. Reads only.

        Raises:
            Refused: they are unknown, so that no cap could hold.
        """
        ...

    def calls(self, contract: Contract | None) -> list[Call]:
        """Return the changing calls of a run, in order: what its dry run prints. A test holds them to a run's trace.

        What is asked again after a passing failure, and what only reads, is not listed.

        Args:
            contract: of the record; None where it is not built yet.
        """
        ...

    def found(self, record: Record) -> str:
        """Return what holds anything of a record here, whole or not; empty where nothing does. Reads only."""
        ...

    def undo(self, record: Record, runs: frozenset[str], needed: Needed) -> list[Finding]:
        """Remove what these runs made; return what became of each."""
        ...

    def remaining(self, runs: frozenset[str]) -> list[str]:
        """Return what still carries the id of one of these runs."""
        ...
