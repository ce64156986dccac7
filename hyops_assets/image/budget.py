"""What looking into a disk, an ISO or a package may take: bytes, entries, programs and seconds, counted in one place.

Sizes and counts in bytes from elsewhere are claims. What acts on one draws it from a budget first; what is beyond
the budget is refused by name, before it is read, listed or waited for.
"""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, overload

from hyops_assets.contract.errors import HyopsError

Unit = Literal["bytes", "entries", "programs", "seconds"]

MOST_ENTRIES = 300_000
"""Files and directories of an image. VyOS' squashfs has 60,000, the file system around it a few thousand."""

MOST_BYTES = 8 << 30
"""What is read or copied out of an image in all. A squashfs of VyOS has 650 MB, kernel and initrd 60 MB."""

MOST_PROGRAMS = 4000
"""Programs that are started on an image: one for each file that is read. All questions together need a hundred."""

MOST_SECONDS = 900.0
"""How long those programs run in all, on a busy machine too; on an idle one they need ten seconds."""

NAME_MAX = 255
"""Bytes of one name (limits.h of Linux)."""

PATH_MAX = 4095
"""Bytes of a path or of a symlink's text, without the byte that ends it (limits.h of Linux)."""

T = TypeVar("T")


class OverBudget(HyopsError):
    """Bytes from elsewhere ask for more than any disk or image of VyOS does."""

    def __init__(self, what: str, allowed: str) -> None:
        super().__init__(
            f"{what} takes more than the {allowed} that are allowed",
            hint="no disk or ISO of VyOS is like this: do not use it, take one from the vendor or build it again",
        )


class Budget:
    """What is left for one disk or image. One budget serves all questions about it."""

    def __init__(
        self,
        *,
        size_bytes: int = MOST_BYTES,
        entries: int = MOST_ENTRIES,
        programs: int = MOST_PROGRAMS,
        seconds: float = MOST_SECONDS,
    ) -> None:
        """Args: what is allowed of each, in all."""
        self._allowed: dict[Unit, float] = {
            "bytes": size_bytes,
            "entries": entries,
            "programs": programs,
            "seconds": seconds,
        }
        self._left = dict(self._allowed)

    def left(self, unit: Unit) -> float:
        """Return how much may still be taken of one unit; never less than 0."""
        return max(self._left[unit], 0)

    def note(self, unit: Unit, count: float) -> None:
        """Count what was taken already; the next `spend` says whether that was too much."""
        self._left[unit] -= count

    def spend(self, unit: Unit, count: float, what: str) -> None:
        """Take something before it is used.

        Args:
            unit: of what.
            count: how much.
            what: that takes it, for the message: `the listing of x.squashfs`.

        Raises:
            OverBudget: less is left, of this or of any other unit.
        """
        self._left[unit] -= count
        for name, left in self._left.items():
            if left < 0:
                raise OverBudget(what, f"{self._allowed[name]:.0f} {name}")


class asked_once(Generic[T]):  # noqa: N801 - a decorator, as functools.cached_property is
    """A property that is found once, its refusal too: a question that went wrong is not asked again by the next."""

    def __init__(self, ask: Callable[[Any], T]) -> None:
        self._ask = ask
        self.__doc__ = ask.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "asked_once[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> "asked_once[T] | T":
        if instance is None:
            return self
        kept = instance.__dict__
        refused = kept.get(f"refused:{self._name}")
        if isinstance(refused, HyopsError):
            raise refused.with_traceback(None)
        try:
            # Python finds it there itself from now on, for this class has no __set__.
            found = kept[self._name] = self._ask(instance)
        except HyopsError as error:
            kept[f"refused:{self._name}"] = error
            raise
        return found
