"""Which tags a token may set: the datacenter's `user-tag-access` and `registered-tags`.

pve-guest-common, GuestHelpers.pm, `get_allowed_tags` and `assert_tag_permissions`.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from hyops_lab.proxmox.access import Access
from hyops_lab.proxmox.answers import denied


@dataclass
class TagRules:
    """The datacenter's options.

    Attributes:
        user_allow: `free`; `existing` and listed ones; the list alone; or none.
        user_allow_list: the list.
        registered: tags that only who may change the datacenter sets.
    """

    user_allow: Literal["free", "existing", "list", "none"] = "free"
    user_allow_list: set[str] = field(default_factory=set[str])
    registered: set[str] = field(default_factory=set[str])


def tags_in(text: object) -> list[str]:
    """Return the tags in a configuration's value."""
    return [tag for tag in re.split(r"[;, ]+", str(text or "")) if tag]


def unique_tags(text: str) -> str:
    """Return tags as they are stored: once each, in order, lower case (`get_unique_tags`)."""
    return ";".join(sorted({tag.lower() for tag in tags_in(text)}))


def require_tags(access: Access, rules: TagRules, vmid: int, old: object, new: object, existing: set[str]) -> None:
    """Refuse a change of tags that the token may not make.

    The right to is asked on the machine itself, never on a pool that it is about to be put into.

    Args:
        access: the token's.
        rules: the datacenter's.
        vmid: of the machine.
        old: its tags.
        new: what they are to be.
        existing: the tags of the machines that the token may see.
    """
    access.require(f"/vms/{vmid}", "VM.Config.Options")
    if access.has("/", "Sys.Modify"):
        return
    allowed = set(rules.user_allow_list) if rules.user_allow != "none" else set[str]()
    if rules.user_allow in {"free", "existing"}:
        allowed |= existing
    for tag in sorted(set(tags_in(old)) ^ set(tags_in(new))):
        free = rules.user_allow == "free" or tag in allowed
        if not free or tag in rules.registered:
            raise denied(f"/, Sys.Modify for modifying tag '{tag}'")
