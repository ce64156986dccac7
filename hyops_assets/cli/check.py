"""One thing that `hyops doctor`, `preflight`, `plan` or `apply` looked at or tried, and what was found.

Every command loads this, so it loads next to nothing.
"""

from dataclasses import dataclass
from typing import Literal, Self

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.printable import shown

Status = Literal["ok", "missing", "fail"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at or tried.

    Attributes:
        name: what, such as `cmd:qemu-img` or `repository`.
        status: `ok`; `missing`, where something is to be installed or set; `fail`, where something is wrong.
        found: what is there, in words.
        hint: what mends it; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str = ""
    hint: str = ""

    def __post_init__(self) -> None:
        # One line to a check, whatever a server says: a second one would pass for another check, or for the end.
        for field in ("found", "hint"):
            object.__setattr__(self, field, shown(" ".join(getattr(self, field).splitlines())))

    @classmethod
    def of(cls, name: str, error: HyopsError, status: Status = "fail") -> Self:
        """Return what an error says that ended a look."""
        return cls(name, status, error.message, error.hint)

    @property
    def ok(self) -> bool:
        """Whether the work can go on with it."""
        return self.status == "ok"

    @property
    def detail(self) -> str:
        """What was found, and the next step where there is one."""
        return "; ".join(text for text in (self.found, self.hint) if text)
