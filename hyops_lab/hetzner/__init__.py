"""A stand-in for one Hetzner Cloud project: its API over http, and the rescue system of its servers over SSH.

Answers as https://docs.hetzner.cloud describes. Servers have real disks (sparse files), and a command sent to a
server's rescue system runs the real programs on that disk, confined.
"""

from hyops_lab.hetzner.rescue import RescueHost
from hyops_lab.hetzner.standin import HetznerStandIn

__all__ = ["HetznerStandIn", "RescueHost"]
