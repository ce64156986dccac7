"""A file tree as it shall stand on a disk: who owns what, independent of who runs the build.

Staging files as an ordinary user loses owners and some modes; a `Tree` carries them beside the bytes, so that the
file system's writer can set them afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from hyops_assets.contract.canonical import digest_of
from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.digests import sha256_of_file

Kind = Literal["directory", "file", "symlink"]


class BadPath(HyopsError):
    """A path that cannot stand in a tree: relative, with `..`, or with a character debugfs cannot quote."""


@dataclass(frozen=True)
class Node:
    """One entry. `mode` holds the 12 permission bits; `source` a file's bytes; `target` a symlink's text."""

    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    source: Path | None = None
    target: str | None = None


@dataclass
class Tree:
    """Nodes by absolute path. A later node replaces an earlier one of the same path."""

    nodes: dict[str, Node] = field(default_factory=dict)

    def add(self, path: str, node: Node) -> None:
        """Put a node at an absolute path.

        Raises:
            BadPath: the path is relative, leaves the tree, or holds a double quote or a control character.
        """
        pure = PurePosixPath(path)
        if not pure.is_absolute() or ".." in pure.parts or '"' in path or not path.isprintable():
            raise BadPath(f"{path!r} cannot stand on a disk image", hint="rename it at its source")
        self.nodes[str(pure)] = node

    def add_directory(self, path: str, mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> None:
        """Add a directory."""
        self.add(path, Node("directory", mode, uid, gid))

    def add_file(self, path: str, source: Path, mode: int = 0o644, *, uid: int = 0, gid: int = 0) -> None:
        """Add a file whose bytes stand in `source` until the tree is written."""
        self.add(path, Node("file", mode, uid, gid, source=source))

    def add_symlink(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self.add(path, Node("symlink", 0o777, target=target))

    def below(self, prefix: str) -> "Tree":
        """Return the same tree under a prefix: `/etc/x` below `/boot/v/rw` is `/boot/v/rw/etc/x`."""
        return Tree({str(PurePosixPath(prefix) / path.lstrip("/")): node for path, node in self.nodes.items()})

    def merge(self, other: "Tree") -> None:
        """Add every node of another tree; its nodes win."""
        self.nodes.update(other.nodes)

    def sorted(self) -> Iterator[tuple[str, Node]]:
        """Yield every node, parents before children, in one order whatever the order of adding."""
        yield from sorted(self.nodes.items(), key=lambda item: PurePosixPath(item[0]).parts)

    def digest(self) -> str:
        """Return the SHA-256 of everything that reaches a disk: paths, kinds, modes, owners, targets and bytes.

        Where the bytes wait does not count. Two trees of the same digest make the same file system.
        """
        return digest_of(
            [
                [
                    path,
                    node.kind,
                    node.mode,
                    node.uid,
                    node.gid,
                    node.target,
                    node.source and sha256_of_file(node.source),
                ]
                for path, node in self.sorted()
            ]
        )
