"""What a guest sees: the overlay's upper directory over the squashfs, as the kernel's overlayfs joins them.

The rules are those of the kernel's Documentation/filesystems/overlayfs.rst: a whiteout hides what is below it, an
opaque directory hides the whole directory below it, and anything but a directory replaces what it covers.
"""

from collections.abc import Iterable, Mapping

from hyops_assets.image.budget import asked_once
from hyops_assets.image.inspection.files import MOST_READ_BYTES, Entry, EntryKind, Ext4Files, MissingFile
from hyops_assets.image.squashfs import MissingMember, Squashfs
from hyops_assets.image.symlinks import SymlinkLoop, follow

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
"""The second counts where an overlay is mounted with `userxattr`; a disk that carries either means it."""

_BOOKKEEPING = ("origin", "impure", "nlink", "upper", "uuid")
"""What overlayfs notes for itself. It changes nothing that a guest sees."""


class _Nothing(Exception):
    """A path on the way does not exist in the guest."""


class EffectiveFiles:
    """The files of a guest that boots from an image."""

    def __init__(self, files: Ext4Files, upper: str, squashfs: Squashfs) -> None:
        """Args: the boot partition's files, the upper directory among them, and the lower layer."""
        self._files = files
        self._upper_at = upper
        self._squashfs = squashfs

    @asked_once
    def upper(self) -> Mapping[str, Entry]:
        """The upper directory's entries, by the guest's paths."""
        return self._files.below(self._upper_at)

    @asked_once
    def paths(self) -> Mapping[str, EntryKind]:
        """Every path of the guest and its kind, symlinks not followed."""
        replacing = {path for path, entry in self.upper.items() if entry.kind != "directory"}
        # Nothing below these is seen of the lower layer. An opaque directory itself is.
        covering = replacing | {path for path in self._directories() if self._is_opaque(path)}
        covered: dict[str, bool] = {"/": False}
        seen: dict[str, EntryKind] = {}
        for path, member in self._squashfs.members().items():
            if path not in replacing and not _below_any(path, covering, covered):
                seen[path] = member.kind if member.kind != "device" else "other"
        seen |= {path: entry.kind for path, entry in self.upper.items() if entry.kind != "whiteout"}
        return seen

    @asked_once
    def strange_marks(self) -> list[str]:
        """Attributes of overlayfs in the upper directory whose effect is not looked at here.

        A redirect takes a directory's content from elsewhere, a metacopy a file's.
        """
        return sorted(
            f"{name}={value} on {path}"
            for path in ("/", *self.upper)
            for name, value in self._files.marks(self._upper_at + path.rstrip("/")).items()
            if not (name in _OPAQUE and value in ("y", "n")) and name.rsplit(".", 1)[-1] not in _BOOKKEEPING
        )

    def resolve(self, path: str) -> str | None:
        """Return where a path leads in the guest, all symlinks followed; None where nothing is there."""

        def target_of(at: str) -> str | None:
            kind = self.paths.get(at)
            if kind is None:
                raise _Nothing
            return self._link(at) if kind == "symlink" else None

        try:
            return follow(path, target_of)
        except (_Nothing, SymlinkLoop):
            return None

    def find(self, path: str) -> bytes | None:
        """Return the bytes of the file that a guest finds at a path; None where it finds none.

        Raises:
            MissingFile: the file is larger than anything that is looked at.
        """
        at = self.resolve(path)
        if at is None or self.paths.get(at, "directory") != "file":
            return None
        if at in self.upper:
            return self._files.read(self._upper_at + at)
        size = self._squashfs.members()[at].size
        if size > MOST_READ_BYTES:
            raise MissingFile(path, f"a file of {size} bytes, {MOST_READ_BYTES} at most were expected")
        return self._squashfs.read(at)

    def lower(self, path: str) -> bytes | None:
        """Return the bytes of a file of the squashfs at exactly this path; None where it has none."""
        member = self._squashfs.members().get(path)
        if member is None or member.kind != "file" or member.size > MOST_READ_BYTES:
            return None
        return self._squashfs.read(path)

    def text(self, path: str) -> str:
        """Return the text of the file that a guest finds at a path; empty where it finds none."""
        return (self.find(path) or b"").decode(errors="replace")

    def read(self, path: str) -> bytes:
        """Return the bytes of the file that a guest finds at a path.

        Raises:
            MissingFile: it finds none.
        """
        content = self.find(path)
        if content is None:
            raise MissingFile(path)
        return content

    def mode(self, path: str) -> int:
        """Return the 12 permission bits of what a path leads to; 0 where nothing is there."""
        at = self.resolve(path)
        if at is None:
            return 0
        return self.upper[at].mode if at in self.upper else self._squashfs.members()[at].mode

    def files_below(self, directory: str) -> list[str]:
        """Return every file and symlink below a directory, symlinks to it not followed."""
        inside = f"{directory.rstrip('/')}/"
        return sorted(path for path, kind in self.paths.items() if kind != "directory" and path.startswith(inside))

    def _directories(self) -> Iterable[str]:
        return ["/", *(path for path, entry in self.upper.items() if entry.kind == "directory")]

    def _is_opaque(self, path: str) -> bool:
        marks = self._files.marks(self._upper_at + path.rstrip("/"))
        return any(marks.get(name) == "y" for name in _OPAQUE)

    def _link(self, path: str) -> str:
        if path in self.upper:
            return self._files.target(self._upper_at + path)
        target = self._squashfs.members()[path].target
        if target is None:
            raise MissingMember(self._squashfs.path, path, "it is no symlink")
        return target


def _below_any(path: str, covering: set[str], covered: dict[str, bool]) -> bool:
    """Tell whether a directory above a path is in `covering`; what was found is kept in `covered` by directory."""
    chain: list[str] = []
    parent = _parent(path)
    while parent not in covered:
        chain.append(parent)
        parent = _parent(parent)
    # The root alone is its own parent; it is in `covered` from the beginning.
    found = covered[parent]
    for directory in reversed(chain):
        found = found or parent in covering
        covered[directory] = found
        parent = directory
    return found or (parent in covering and path != parent)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
