"""The programs of a rescue system that cannot work on a file as they do on a disk. Everything else there is real.

They come first in the confined `PATH`. `/dev/sda` is the server's disk, a regular file.
"""

from pathlib import Path

_DD = """#!/bin/bash
# The real dd truncates a regular file that it opens; a disk has no length to lose. Without notrunc a disk of
# 40 GB becomes as short as what was written, and whatever was on it before can never be noticed.
args=() disk='' conv=''
for arg; do
  case $arg in
    of=/dev/sda) disk=1; args+=("$arg") ;;
    conv=*) conv=${arg#conv=} ;;
    *) args+=("$arg") ;;
  esac
done
[ -n "$disk" ] && conv=${conv:+$conv,}notrunc
[ -n "$conv" ] && args+=("conv=$conv")
exec /usr/bin/dd "${args[@]}"
"""

_BLKDISCARD = """#!/bin/bash
[ -e /run/lab/discard-keeps-data ] && exit 0
exec /usr/bin/fallocate --punch-hole --offset 0 --length "$(/usr/bin/stat -Lc %s /dev/sda)" /dev/sda
"""

_SIZE_ONLY = """#!/bin/bash
[ "${@: -1}" = /dev/sda ] || { echo "${0##*/}: not a block device" >&2; exit 1; }
case " $* " in
  *flushbufs*) exit 0 ;;
esac
exec /usr/bin/stat -Lc %s /dev/sda
"""

_CURL = """#!/bin/bash
# The metadata service has an address of its own in a real network; here it listens on loopback.
exec /usr/bin/curl --connect-to "169.254.169.254:80:$(</opt/lab-metadata)" "$@"
"""

_POWER = """#!/bin/bash
echo "${0##*/}" >/run/lab/power
"""

SHIMS = {
    "dd": _DD,
    "blkdiscard": _BLKDISCARD,
    "curl": _CURL,
    "lsblk": _SIZE_ONLY,
    "blockdev": _SIZE_ONLY,
    "poweroff": _POWER,
    "shutdown": _POWER,
    "reboot": _POWER,
}


def install_shims(directory: Path) -> None:
    """Write the shims into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, script in SHIMS.items():
        file = directory / name
        file.write_text(script)
        file.chmod(0o755)
