"""The nodes of VyOS' configuration that the look-alike knows, in the form in which VyOS keeps them in the guest.

VyOS keeps one directory per node below /opt/vyatta/share/vyatta-cfg/templates, with a `node.def` that says
`tag:`, `multi:` or a type; the children of a tag node stand below `node.tag`. What a value, or the name of a tag
node's child, must look like stands there as a call of `validate-value`, with regular expressions and validators of
which any may fit. This is a small true part of it; the tests hold it against VyOS' whole grammar.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["tag", "multi", "leaf", "valueless", "node"]


@dataclass(frozen=True)
class Node:
    """What VyOS says of a node.

    Attributes:
        kind: `tag` has children below a name, `multi` is a leaf with several values.
        regexes: any of them may fit the whole value.
        validators: or any of these programs, with its arguments, accepts it. Without any of both, all is accepted.
    """

    kind: Kind
    regexes: tuple[str, ...] = ()
    validators: tuple[str, ...] = ()


_CRYPT = "[a-zA-Z0-9./]"
_INTERFACE = r"(bond|br|dum|eth|lan|tun|veth|vti|vxlan|wg)[0-9]+(\.\d+)?|lo"
_HOST_NAME = "[A-Za-z0-9][-.A-Za-z0-9]*[A-Za-z0-9]"
_ADDRESS = Node("multi", ("dhcp", "dhcpv6"), ("ip-host",))
_MAC = Node("leaf", (), ("mac-address",))
_MTU = Node("leaf", (), ("numeric --range 68-16000",))
_DISTANCE = Node("leaf", (), ("numeric --range 1-255",))
_DEVICE = Node("tag", (_INTERFACE,))
_VALUELESS = Node("valueless")
_TEXT = Node("leaf")

NODES: Mapping[str, Node] = {
    "interfaces ethernet": Node("tag", ("((eth|lan)[0-9]+|(eno|ens|enp|enx).+)",)),
    "interfaces ethernet * address": _ADDRESS,
    "interfaces ethernet * description": Node("leaf", (".{0,255}",)),
    "interfaces ethernet * dhcp-options no-default-route": _VALUELESS,
    "interfaces ethernet * hw-id": _MAC,
    "interfaces ethernet * ipv6 address autoconf": _VALUELESS,
    "interfaces ethernet * mac": _MAC,
    "interfaces ethernet * mtu": _MTU,
    "interfaces ethernet * vif": Node("tag", (), ("numeric --range 0-4094",)),
    "interfaces ethernet * vif * address": _ADDRESS,
    "interfaces ethernet * vif * ipv6 address autoconf": _VALUELESS,
    "interfaces ethernet * vif * mac": _MAC,
    "interfaces ethernet * vif * mtu": _MTU,
    "interfaces loopback": Node("tag", ("lo",)),
    "interfaces loopback * address": Node("multi", (), ("ip-host",)),
    "protocols static route": Node("tag", (), ("ipv4-prefix",)),
    "protocols static route * interface": _DEVICE,
    "protocols static route * interface * distance": _DISTANCE,
    "protocols static route * next-hop": Node("tag", (), ("ipv4-address",)),
    "protocols static route * next-hop * distance": _DISTANCE,
    "protocols static route6": Node("tag", (), ("ipv6-prefix",)),
    "protocols static route6 * interface": _DEVICE,
    "protocols static route6 * interface * distance": _DISTANCE,
    "protocols static route6 * next-hop": Node("tag", (), ("ipv6-address",)),
    "protocols static route6 * next-hop * distance": _DISTANCE,
    "protocols static route6 * next-hop * interface": Node("leaf", (_INTERFACE,)),
    "service ntp allow-client address": Node("multi", (), ("ip-address", "ip-cidr")),
    "service ntp server": Node("tag", (), ("ip-address", "fqdn")),
    "service ssh disable-password-authentication": _VALUELESS,
    "service ssh listen-address": Node("multi", (), ("ip-address",)),
    "service ssh port": Node("multi", (), ("numeric --range 1-65535",)),
    "system config-management commit-revisions": Node("leaf", (), ("numeric --range 1-65535",)),
    "system conntrack modules ftp": _VALUELESS,
    "system conntrack modules tftp": _VALUELESS,
    "system console device": Node("tag", ("(ttyS[0-9]+|hvc[0-9]+)",)),
    "system console device * speed": Node("leaf", ("(1200|2400|4800|9600|19200|38400|57600|115200)",)),
    "system domain-name": Node("leaf", (), ("fqdn",)),
    "system domain-search": Node("multi", (), ("fqdn",)),
    "system host-name": Node("leaf", (_HOST_NAME,)),
    "system login radius server": Node("tag", (), ("ip-address",)),
    "system login radius server * key": Node("leaf", (r"[[:ascii:]]{1,128}",)),
    "system login user": Node("tag", ("[-_a-zA-Z0-9.]{1,100}",)),
    # The kinds of crypt(3) that VyOS took until September 2025; since then yescrypt too.
    "system login user * authentication encrypted-password": Node(
        "leaf",
        (
            r"(\*|!)",
            rf"{_CRYPT}{{13}}",
            rf"\$1\${_CRYPT}*\${_CRYPT}{{22}}",
            rf"\$5\$(rounds=[0-9]+\$)?{_CRYPT}*\${_CRYPT}{{43}}",
            rf"\$6\$(rounds=[0-9]+\$)?{_CRYPT}*\${_CRYPT}{{86}}",
        ),
    ),
    "system login user * authentication plaintext-password": _TEXT,
    "system login user * authentication public-keys": Node("tag"),
    "system login user * authentication public-keys * key": Node("leaf", (), ("base64",)),
    "system login user * authentication public-keys * options": _TEXT,
    "system login user * authentication public-keys * type": Node(
        "leaf",
        (
            "(ssh-dss|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|ssh-ed25519"
            r"|sk-(ecdsa-sha2-nistp256|ssh-ed25519)@openssh\.com)",
        ),
    ),
    "system login user * disable": _VALUELESS,
    "system login user * full-name": Node("leaf", ("[^:]*",)),
    "system name-server": Node("multi", (_INTERFACE,), ("ip-address",)),
    "system option performance": Node("leaf", ("(throughput|latency)",)),
    "system static-host-mapping host-name": Node("tag", (_HOST_NAME,)),
    "system syslog local facility": Node("tag"),
    "system syslog local facility * level": _TEXT,
    "system time-zone": Node("leaf", (), ("timezone --validate",)),
}


def templates() -> dict[str, str]:
    """Return the text of every `node.def`, by its path below the templates directory."""
    found = {file_of(path): node_def(node) for path, node in NODES.items()}
    for path in NODES:
        words = path.split()
        for depth in range(1, len(words)):
            found.setdefault(file_of(" ".join(words[:depth])), node_def(Node("node")))
    return found


def reference() -> dict[str, Any]:
    """Return the nodes as `vyos.xml_ref` keeps them, in releases that have no templates any more too."""
    root: dict[str, Any] = {}
    for path, node in sorted(NODES.items()):
        at = root
        words = [word for word in path.split() if word != "*"]
        for depth, word in enumerate(words):
            kind = node.kind if depth == len(words) - 1 else "node"
            at = at.setdefault(word, {"node_data": _node_data(kind)})
    return root


def node_def(node: Node) -> str:
    """Return the text that VyOS' build writes for a node."""
    text = {"tag": "tag:\ntype: txt\n", "multi": "multi:\ntype: txt\n", "leaf": "type: txt\n"}.get(node.kind, "")
    if not node.regexes and not node.validators:
        return f"{text}help: set it\n"
    # A backslash stands doubled there, and every quote behind one.
    regexes = [f"--regex \\'{regex.replace(chr(92), chr(92) * 2)}\\'" for regex in node.regexes]
    programs = [f'--exec \\"${{vyos_validators_dir}}/{validator}\\"' for validator in node.validators]
    checks = " ".join([*regexes, *programs])
    called = f"exec \"${{vyos_libexec_dir}}/validate-value {checks}  --value \\'$VAR(@)\\'\""
    return f'{text}help: set it\nsyntax:expression: {called}; "Invalid value"\n'


def file_of(path: str) -> str:
    """Return where the node of a path stands below the templates; `*` is the name of a tag node's child."""
    return "/".join([*("node.tag" if word == "*" else word for word in path.split()), "node.def"])


def _node_data(kind: Kind) -> dict[str, object]:
    leaf = kind in ("leaf", "multi", "valueless")
    return {
        "node_type": "leaf" if leaf else kind,
        "multi": kind == "multi",
        "valueless": kind == "valueless",
    }
