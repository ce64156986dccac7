"""The boot gate of what has no kernel: how a disk boots is another test's question."""

from pathlib import Path

from pydantic import JsonValue

from hyops_assets.image.boot.together import Paused
from resources.boot import BootGate


class Unbooted(BootGate):
    """Boots nothing, and says that it passed, or that it did not."""

    passes = True

    def booting(self, qcow2: Path, *, firmware: str, **_: object) -> Paused[tuple[bool, dict[str, JsonValue]]]:
        """Return the verdict, and why there is nothing behind it."""
        yield from ()
        return self.passes, {"firmware": firmware, "accelerator": "none", "why": "the miniature has no kernel"}
