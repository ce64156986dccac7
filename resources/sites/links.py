"""What was promised beside what is found, one question a link: what lineage walks, and what drift compares."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from hyops_assets.contract.errors import HyopsError
from resources.error_border import said_of


@dataclass(frozen=True)
class Link:
    """One link of the chain: what was looked at, what it should say, what it says."""

    name: str
    expected: str
    found: str

    @property
    def holds(self) -> bool:
        """Whether the link is whole."""
        return self.found == self.expected

    def of(self, where: str) -> Self:
        """Return the link with the name of what it is about before its question."""
        return type(self)(f"{where} {self.name}", self.expected, self.found)


def read_link(name: str, expected: str, find: Callable[[], str]) -> Link:
    """Return a link that is read now; one that cannot be read says why."""
    try:
        return Link(name, expected, find())
    except HyopsError as error:
        return Link(name, expected, said_of(error))
