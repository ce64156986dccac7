"""A VyOS look-alike that really boots: Debian's kernel, systemd and python3 in the layout of a VyOS ISO.

`make_lookalike` makes the ISO. `guest/` holds what stands in the guest only: the initrd's boot script that honours
`vyos-union=`; `configtree` is the guest's stand-in for VyOS' own configuration library.
"""

from hyops_lab.lookalike.iso import make_lookalike

__all__ = ["make_lookalike"]
