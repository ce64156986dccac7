"""Whether a disk may be published at all, by how it was made. Its bytes are judged by the gates."""

from collections.abc import Mapping

from pydantic import JsonValue

from hyops_assets.contract.errors import Refused


class Unpublishable(Refused):
    """A disk that was made for debugging, and stays on the machine that made it."""


def require_publishable(build: Mapping[str, JsonValue]) -> None:
    """Refuse the disk of a build that was made under emulation, or that does not say how it was made.

    Builders run under KVM or without any guest; emulation is for debugging (source document, builder posture). The
    gates boot such a disk all the same, so that there is something to debug with.

    Args:
        build: the facts of a build, as `build_disk` or `adopt_disk` gives them.

    Raises:
        Unpublishable: `publishable` is not true in them.
    """
    if build.get("publishable") is not True:
        method, accelerator = build.get("method", "nothing"), build.get("accelerator", "nothing")
        raise Unpublishable(
            f"this disk is for debugging only (method {method}, accelerator {accelerator})",
            hint="build it on a host with a working KVM, or with build.method native, which needs none",
        )
