"""The look-alike's configuration schema: which nodes carry names (tag nodes) and which many values.

VyOS keeps one directory per node below /opt/vyatta/share/vyatta-cfg/templates, with a `node.def` that says
`tag:`, `multi:` or a type; the children of a tag node stand below `node.tag`. This is a small true part of it.
"""

_TAGS = (
    "interfaces ethernet",
    "interfaces ethernet * vif",
    "interfaces loopback",
    "protocols static route",
    "protocols static route * next-hop",
    "protocols static route * interface",
    "protocols static route6",
    "protocols static route6 * next-hop",
    "protocols static route6 * interface",
    "service ntp server",
    "system console device",
    "system login radius server",
    "system login user",
    "system login user * authentication public-keys",
    "system static-host-mapping host-name",
    "system syslog local facility",
)
_MULTI = (
    "interfaces ethernet * address",
    "interfaces ethernet * vif * address",
    "interfaces loopback * address",
    "service ntp allow-client address",
    "service ssh listen-address",
    "service ssh port",
    "system domain-search",
    "system name-server",
)
_LEAVES = (
    "interfaces ethernet * description",
    "interfaces ethernet * hw-id",
    "interfaces ethernet * mtu",
    "interfaces ethernet * ipv6 address autoconf",
    "interfaces ethernet * dhcp-options no-default-route",
    "interfaces ethernet * vif * ipv6 address autoconf",
    "interfaces ethernet * vif * mtu",
    "protocols static route * next-hop * distance",
    "protocols static route6 * next-hop * distance",
    "protocols static route6 * next-hop * interface",
    "service ssh disable-password-authentication",
    "system config-management commit-revisions",
    "system console device * speed",
    "system domain-name",
    "system host-name",
    "system login radius server * key",
    "system login user * authentication encrypted-password",
    "system login user * authentication plaintext-password",
    "system login user * authentication public-keys * key",
    "system login user * authentication public-keys * options",
    "system login user * authentication public-keys * type",
    "system login user * disable",
    "system login user * full-name",
    "system option performance",
    "system syslog local facility * level",
    "system time-zone",
)
_VALUELESS = frozenset(
    {
        "interfaces ethernet * ipv6 address autoconf",
        "interfaces ethernet * vif * ipv6 address autoconf",
        "interfaces ethernet * dhcp-options no-default-route",
        "service ssh disable-password-authentication",
        "system login user * disable",
    }
)


def templates() -> dict[str, str]:
    """Return the text of every `node.def`, by its path below the templates directory."""
    found: dict[str, str] = {}
    for kind, paths in (("tag:\ntype: txt\n", _TAGS), ("multi:\ntype: txt\n", _MULTI)):
        found |= {_file(path): kind for path in paths}
    found |= {_file(path): "help: set it\n" if path in _VALUELESS else "type: txt\n" for path in _LEAVES}
    for path in (*_TAGS, *_MULTI, *_LEAVES):
        words = path.split()
        for depth in range(1, len(words)):
            found.setdefault(_file(" ".join(words[:depth])), "help: a group\n")
    return found


def _file(path: str) -> str:
    return "/".join([*("node.tag" if word == "*" else word for word in path.split()), "node.def"])
