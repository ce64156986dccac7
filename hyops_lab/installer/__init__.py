"""An ISO that boots to VyOS' installer, as far as its serial console shows: it asks what VyOS asks, in that order.

`make_installer` makes the ISO. `guest/init` is the installer: answered right, it writes a prebuilt disk.
"""

from hyops_lab.installer.iso import DIALECTS, Dialect, make_installer

__all__ = ["DIALECTS", "Dialect", "make_installer"]
