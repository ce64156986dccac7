"""Who owns a path: dpkg's rule that a file belongs to one package, kept without dpkg.

Two packages of a lock may not ship the same file, and none may replace a file of a package that the ISO holds. What
the ISO diverts (dpkg-divert(1)) lands where it says.
"""

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from hyops_assets.image.overlay.layers import Layers, OverlayConflict
from hyops_assets.image.squashfs import Squashfs

_INFO = "/var/lib/dpkg/info"
_DIVERSIONS = "/var/lib/dpkg/diversions"


class SharedPath(OverlayConflict):
    """Two packages want the same path."""

    def __init__(self, path: str, package: str, owner: str) -> None:
        super().__init__(
            f"{package} ships {path}, which {owner} has already",
            hint="leave one of them out of build.packages, or name sources of the ISO's time",
        )


class Claims:
    """The paths that the packages of an overlay take, one after the other."""

    def __init__(self, squashfs: Squashfs, layers: Layers) -> None:
        self._squashfs = squashfs
        self._layers = layers
        self._taken: dict[str, str] = {}

    def claim(self, package: str, path: str) -> str:
        """Take a path for a package's file or link, and return the path where it is to be put.

        Raises:
            SharedPath: another package of the overlay or of the ISO has it, or this one ships it twice.
        """
        target = self._diverted(package, path)
        at = self._layers.landing(target)
        if at in self._taken:
            raise SharedPath(path, package, self._taken[at])
        if at in self._squashfs.members():
            owner = self._owner_below(target, at)
            if owner not in (None, package):
                raise SharedPath(path, package, f"{owner} of the ISO")
        self._taken[at] = package
        return target

    def _diverted(self, package: str, path: str) -> str:
        target, diverter = self._diversions.get(path, (path, package))
        return path if diverter == package else target

    @cached_property
    def _diversions(self) -> Mapping[str, tuple[str, str]]:
        """Where the ISO diverts a path to, and the package that keeps the path for itself."""
        if not self._squashfs.exists(_DIVERSIONS):
            return {}
        lines = self._squashfs.read(_DIVERSIONS).decode("utf-8", "surrogateescape").splitlines()
        return {path: (to, by) for path, to, by in zip(*(iter(lines),) * 3, strict=False)}

    def _owner_below(self, path: str, at: str) -> str | None:
        """Return the package of the ISO that a path belongs to; None for what no package brought."""
        # Packages that were built before /usr was merged list /lib/x, where /usr/lib/x stands.
        spellings = {path, at, at.removeprefix("/usr")}
        for name, listed in self._lists.items():
            if spellings & listed:
                return name
        return None

    @cached_property
    def _lists(self) -> Mapping[str, frozenset[str]]:
        """The paths of every package of the ISO. Read when a path is contended, which is next to never."""
        if not self._squashfs.exists(_INFO):
            return {}
        with tempfile.TemporaryDirectory(prefix="hyops-claims-") as scratch:
            self._squashfs.extract([_INFO], Path(scratch, "dpkg"))
            return {
                path.stem.split(":")[0]: frozenset(path.read_text("utf-8", "surrogateescape").splitlines())
                for path in Path(scratch, "dpkg", _INFO.lstrip("/")).glob("*.list")
            }
