"""Two layers seen as one: what the overlay adds, over the squashfs below it.

Decides where a path really lands. A package of bookworm ships `./lib/…`; a real `lib` directory in the overlay
would hide the squashfs' link to `usr/lib`, and with it the dynamic loader: such a disk does not boot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.disk.tree import Node, Tree
from hyops_assets.image.squashfs import Member, Squashfs
from hyops_assets.image.symlinks import follow

_NEW_DIRECTORY = Node("directory", 0o755)


class OverlayConflict(HyopsError):
    """Something is to be added to an overlay where another kind of thing stands."""


@dataclass(frozen=True)
class PathEntry:
    """What stands at a path: its kind, and a symlink's text."""

    kind: str
    target: str | None


@dataclass(frozen=True)
class Way:
    """Where a path leads when every link on it is followed; `by_added_link`: one of them is the overlay's own."""

    end: PurePosixPath
    by_added_link: bool


class Layers:
    """An overlay in the making over a squashfs. Adding respects what is below; `tree` is the result."""

    def __init__(self, squashfs: Squashfs) -> None:
        self.tree = Tree()
        self._ways: dict[PurePosixPath, Way] = {}
        self._below: Mapping[str, Member] = squashfs.members()
        # The upper directory's own mode and owner become those of the guest's root directory.
        self._put("/", _NEW_DIRECTORY)

    def landing(self, path: str) -> str:
        """Return where a path really is: every symlink on the way to its last part followed, that one not."""
        pure = PurePosixPath("/", path)
        return str(self._walk(pure.parent).end / pure.name)

    def crosses_added_link(self, path: str) -> bool:
        """Tell whether the way to a path leads through a symlink that this overlay brought."""
        return self._walk(PurePosixPath("/", path).parent).by_added_link

    def add_directory(self, path: str, node: Node = _NEW_DIRECTORY) -> None:
        """Add a directory; one that the squashfs has keeps its owner and mode, a symlink to one stays a link.

        Raises:
            OverlayConflict: a file stands there.
        """
        at = self.landing(path)
        standing = self._standing(at)
        if standing is not None and standing.kind == "symlink":
            at = str(self._walk(PurePosixPath(at)).end)
            standing = self._standing(at)
        if standing is not None and standing.kind != "directory":
            raise _conflict(path, "directory", standing)
        self._put(at, node)

    def add_file(self, path: str, source: Path, mode: int = 0o644, *, uid: int = 0, gid: int = 0) -> None:
        """Add a file, over a file or a symlink that stands there.

        Raises:
            OverlayConflict: a directory stands there, or a symlink that leads to one.
        """
        self._add(path, Node("file", mode, uid, gid, source=source))

    def replace_file(self, path: str, source: Path) -> None:
        """Add a file with the owner and mode of the one that the squashfs has at this path, or root's, 0644."""
        member = self._below.get(self.landing(path), Member("file", 0o644, 0, 0, 0))
        self.add_file(path, source, member.mode, uid=member.uid, gid=member.gid)

    def add_symlink(self, path: str, target: str) -> None:
        """Add a symbolic link, over a file or a symlink that stands there.

        Raises:
            OverlayConflict: a directory stands there, or a symlink that leads to one.
        """
        self._add(path, Node("symlink", 0o777, target=target))

    def add_hard_link(self, path: str, existing: str) -> None:
        """Add a file that is another name of a file added before.

        Raises:
            OverlayConflict: no such file was added.
        """
        node = self.tree.nodes.get(self.landing(existing))
        if node is None or node.kind != "file":
            raise OverlayConflict(f"{path} is a hard link to {existing}, which is no file", hint="inspect the package")
        self._add(path, node)

    def exists(self, path: str) -> bool:
        """Tell whether anything stands at a path, in either layer."""
        return self._standing(self.landing(path)) is not None

    def _add(self, path: str, node: Node) -> None:
        at = self.landing(path)
        standing = self._standing(at)
        if standing is not None and standing.kind == "symlink" and standing.target == node.target:
            return
        if standing is not None and self._is_directory(at):
            # A link of the merged /usr too: what replaces it hides all that the guest reaches through it.
            raise _conflict(path, node.kind, standing)
        self._put(at, node)

    def _is_directory(self, at: str) -> bool:
        standing = self._standing(str(self._walk(PurePosixPath(at)).end))
        return standing is not None and standing.kind == "directory"

    def _put(self, at: str, node: Node) -> None:
        """Set a node, and every directory above it that the overlay lacks."""
        for parent in reversed(PurePosixPath(at).parents):
            if str(parent) not in self.tree.nodes:
                self.tree.add(str(parent), self._as_below(str(parent), _NEW_DIRECTORY))
        if node.kind == "directory":
            # Each directory of an upper layer overrides the owner and mode of the one below it.
            node = self._as_below(at, node)
        standing = self._standing(at)
        if node.kind == "symlink" or (standing is not None and standing.kind == "symlink"):
            # Nothing but a link that comes or goes leads an earlier way elsewhere.
            self._ways.clear()
        self.tree.add(at, node)

    def _as_below(self, at: str, node: Node) -> Node:
        member = self._below.get(at)
        if member is None or member.kind != "directory":
            return node
        return replace(node, mode=member.mode, uid=member.uid, gid=member.gid)

    def _standing(self, at: str) -> PathEntry | None:
        node = self.tree.nodes.get(at)
        if node is not None:
            return PathEntry(node.kind, node.target)
        member = self._below.get(at)
        return None if member is None else PathEntry(member.kind, member.target)

    def _walk(self, path: PurePosixPath) -> Way:
        """Follow the links of a path whose last components need not exist yet. Kept: packages share directories."""
        if path not in self._ways:
            by_added_link = False

            def target_of(at: str) -> str | None:
                nonlocal by_added_link
                standing = self._standing(at)
                if standing is None or standing.target is None:
                    return None
                by_added_link = by_added_link or at in self.tree.nodes
                return standing.target

            end = PurePosixPath(follow(path, target_of))
            self._ways[path] = Way(end, by_added_link)
        return self._ways[path]


def _conflict(path: str, kind: str, standing: PathEntry) -> OverlayConflict:
    return OverlayConflict(
        f"a {kind} is to be added at {path}, where a {standing.kind} stands",
        hint="leave the package out of build.packages, or use an ISO that lacks it",
    )
