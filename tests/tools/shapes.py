"""Metadata as guests get it: Hetzner's and Proxmox VE's shapes of a network configuration, a key, a hash."""

from typing import Any

RELEASE = "2026.03.03-0027-rolling"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh admin@example.net"
PASSWORD = "correct horse"
HASH = "$6$salt$pfWEh40/jW3sybE9zOQ9fIpZ9F6fyy/jogzYisHAyINpuc9icJd187oNK8pukepHV.QSHFtNVGUeWCRJCE9G4/"
"""Of PASSWORD, as `openssl passwd -6 -salt salt` makes it."""

HETZNER: dict[str, Any] = {
    "version": 1,
    "config": [
        {
            "type": "physical",
            "name": "eth0",
            "mac_address": "96:00:00:08:19:da",
            "subnets": [
                {"ipv4": True, "type": "dhcp", "dns_nameservers": ["185.12.64.1", "185.12.64.2"]},
                {
                    "ipv6": True,
                    "type": "static",
                    "address": "2a01:4f8:beef:beef::1/64",
                    "gateway": "fe80::1",
                    "dns_nameservers": ["2a01:4ff:ff00::add:2", "2a01:4ff:ff00::add:1"],
                },
            ],
        }
    ],
}
PROXMOX: dict[str, Any] = {
    "version": 1,
    "config": [
        {
            "type": "physical",
            "name": "eth0",
            "mac_address": "bc:24:11:aa:bb:cc",
            "subnets": [
                {"type": "static", "address": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.1"},
                {"type": "static6", "address": "2001:db8::10/64", "gateway": "2001:db8::1"},
            ],
        },
        {"type": "nameserver", "address": ["192.0.2.53"], "search": ["example.net"]},
    ],
}
