"""What the numbers were measured on: without it, they cannot be compared."""

import os
import platform
import ssl
import zlib
from pathlib import Path

from hyops_assets.image.tool_versions import tool_versions

_TOOLS = ("qemu-img", "xz", "xorriso", "unsquashfs", "mkfs.ext4")


def described() -> list[str]:
    """Return lines: processor, cores, load, what computes SHA-256, and versions."""
    cpu = _cpu_info()
    instructions = "SHA-NI" if "sha_ni" in cpu.get("flags", "").split() else "no SHA instructions"
    versions = ", ".join(f"{name} {version}" for name, version in tool_versions(_TOOLS).items())
    return [
        f"processor: {cpu.get('model name', platform.machine())}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f} at the start",
        f"SHA-256:   {ssl.OPENSSL_VERSION}, {instructions}",
        f"programs:  {versions}; Python {platform.python_version()}, zlib {zlib.ZLIB_RUNTIME_VERSION}",
    ]


def _cpu_info() -> dict[str, str]:
    """Return what Linux says of the first core."""
    path = Path("/proc/cpuinfo")
    first = path.read_text().split("\n\n")[0] if path.exists() else ""
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
