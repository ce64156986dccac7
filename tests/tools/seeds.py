"""What guests are given, by name; `golden/<name>.boot` is the configuration that each must end with, as text."""

import yaml

from tests.tools.shapes import HASH, HETZNER, KEY, PROXMOX

COMMANDS = [
    "set system time-zone 'Europe/Berlin'",
    "set interfaces ethernet eth1 address 10.0.0.2/32",
    "set protocols static route 10.0.0.0/16 next-hop 10.0.0.1",
    "delete system name-server '185.12.64.2'",
]


def _cloud_config(**given: object) -> str:
    return "#cloud-config\n" + yaml.safe_dump(given)


SEEDS: dict[str, dict[str, str]] = {
    "hetzner": {
        "meta-data": yaml.safe_dump({"instance-id": "i-hetzner", "local-hostname": "edge1", "public-keys": [KEY]}),
        "network-config": yaml.safe_dump(HETZNER),
        "user-data": _cloud_config(vyos_config_commands=COMMANDS),
    },
    # As Proxmox VE writes a cloud-init drive whose user, password, addresses and name server are set.
    "proxmox": {
        "meta-data": "instance-id: i-proxmox\n",
        "network-config": yaml.safe_dump(PROXMOX),
        "user-data": _cloud_config(
            hostname="edge1",
            manage_etc_hosts=True,
            fqdn="edge1.example.net",
            user="netadmin",
            password=HASH,
            ssh_authorized_keys=[KEY],
            chpasswd={"expire": False},
            users=["default"],
            package_upgrade=True,
        ),
    },
    "keys-only": {
        "meta-data": "instance-id: i-keys\n",
        "user-data": _cloud_config(ssh_authorized_keys=[KEY]),
    },
    "password-hash": {
        "meta-data": "instance-id: i-password\n",
        "user-data": _cloud_config(password=HASH, ssh_pwauth=True),
    },
    # As people and generators write it: options of keys, entries as mappings, netplan's longer forms.
    "spellings": {
        "meta-data": yaml.safe_dump({"instance-id": "i-spellings", "local-hostname": "from-metadata.example.net"}),
        "network-config": yaml.safe_dump(
            {
                "version": 2,
                "ethernets": {
                    "eth0": {
                        "addresses": [{"192.0.2.10/32": {"lifetime": 0}}, "2001:DB8::10/64"],
                        "dhcp6": "no",
                        "mtu": "9000",
                        "routes": [
                            {"to": "default", "via": "172.31.1.1", "on-link": "true"},
                            {"to": "10.0.0.0/8", "scope": "link"},
                        ],
                        "nameservers": {"addresses": "192.0.2.53 2001:db8::53", "search": "example.net"},
                    },
                    "eth1": None,
                },
                "vlans": {"lan": {"id": "7", "link": "eth1", "mtu": 1400, "addresses": ["198.51.100.1/24"]}},
            }
        ),
        "user-data": _cloud_config(
            hostname="near",
            fqdn="far.example.net.",
            user={"name": "netops", "lock_passwd": False, "hashed_passwd": f"{HASH}\n", "gecos": "Net\nOps"},
            ssh_authorized_keys=f'no-pty,from="10.0.0.0/8,!10.0.0.1" {KEY}',
            users=["default", {"name": "ops", "ssh-authorized-keys": [KEY], "lock-passwd": True}],
            timezone="Europe/Berlin",
        ),
    },
    "nothing": {},
}
