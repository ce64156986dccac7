"""A guest's effective files as a directory: an overlay laid over what stands below it."""

import shutil
from pathlib import Path

from hyops_assets.image.disk.tree import Tree


def lay_over(overlay: Tree, root: Path) -> None:
    """Put an overlay's nodes into a directory that holds the lower files; owners and modes stay the caller's."""
    for path, node in overlay.sorted():
        at = root / path.lstrip("/")
        if node.kind == "directory":
            at.mkdir(exist_ok=True)
        elif node.target is not None:
            at.unlink(missing_ok=True)
            at.symlink_to(node.target)
        elif node.source is not None:
            at.unlink(missing_ok=True)
            shutil.copyfile(node.source, at)
