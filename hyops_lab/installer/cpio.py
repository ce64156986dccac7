"""An initramfs in the format that kernels unpack (Linux, Documentation/driver-api/early-userspace): cpio, newc.

Written here, as any user: device nodes are a few bytes of an archive, and making them needs no privilege.
"""

import gzip
import stat
from collections.abc import Mapping

_TRAILER = "TRAILER!!!"
_CONSOLE = (5, 1)


def initramfs(files: Mapping[str, bytes], *, programs: frozenset[str]) -> bytes:
    """Return a compressed initramfs. The same files give the same bytes.

    Args:
        files: content by path, without a leading slash; directories are made as needed.
        programs: the paths that are executable.
    """
    directories = {str(parent) for path in files for parent in _parents(path)} | {"dev"}
    parts = [_entry(path, stat.S_IFDIR | 0o755, b"") for path in sorted(directories)]
    # Without it, the kernel starts init with no standard output.
    parts.append(_entry("dev/console", stat.S_IFCHR | 0o600, b"", device=_CONSOLE))
    for path, content in sorted(files.items()):
        parts.append(_entry(path, stat.S_IFREG | (0o755 if path in programs else 0o644), content))
    parts.append(_entry(_TRAILER, 0, b""))
    return gzip.compress(b"".join(parts), compresslevel=1, mtime=0)


def _parents(path: str) -> list[str]:
    words = path.split("/")[:-1]
    return ["/".join(words[: count + 1]) for count in range(len(words))]


def _entry(path: str, mode: int, content: bytes, *, device: tuple[int, int] = (0, 0)) -> bytes:
    name = path.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
