"""The question about all bytes at once: is it the very disk that a record promises?"""

from collections.abc import Callable

from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.inspection.view import Fault, NotCompared, View


def disk_is_the_recorded_one(view: View) -> str:
    """The disk has the size and the SHA-256 that its record promises, and so has the file that it arrived in."""
    promised = view.expected.disk
    if promised is None:
        raise NotCompared("the disk")
    size = view.disk.stat().st_size
    if size != promised.size_bytes:
        # Not hashed first: a file of a few kilobytes may hold a disk of a tebibyte.
        raise Fault(f"{size} bytes, expected {promised.size_bytes} with {promised.sha256}")
    sha256 = view.disk_sha256()
    if sha256 != promised.sha256:
        raise Fault(f"{size} bytes with sha256 {sha256}, expected {promised.size_bytes} with {promised.sha256}")
    of_file = view.expected.container_sha256
    if view.container is not None and of_file is not None:
        found = sha256_of_file(view.container)
        if found != of_file:
            raise Fault(f"the file has sha256 {found}, expected {of_file}; the disk in it is right")
    return f"sha256 {sha256}"


CHECKS: dict[str, Callable[[View], str]] = {disk_is_the_recorded_one.__name__: disk_is_the_recorded_one}
