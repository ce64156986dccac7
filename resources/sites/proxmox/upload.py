"""An image on its way from this host to a storage: read as a stream, named as it will stand there."""

import io
from pathlib import Path

from hyops_assets.contract.progress import Progress


class ImageUpload(io.FileIO):
    """A file that reports how far it was read.

    proxmoxer sends a file object as a multipart stream and takes the target's name from its `name`.
    """

    def __init__(self, path: Path, file_name: str, progress: Progress) -> None:
        super().__init__(path, "rb")
        self._total = path.stat().st_size
        self._progress = progress
        self.name = file_name

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes, and report."""
        data = super().read(-1 if size is None else size)
        self._progress("upload", self.tell(), self._total)
        return data or b""
