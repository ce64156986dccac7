"""Faults a stand-in commits on purpose: the nth matching call is answered wrongly, late, or not at all.

One table per stand-in; each rule names calls by method and path. What a fault does to the wire is done by the
stand-in's own middleware.
"""

import re
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """Answer with an error instead of doing what was asked. `code` and `message` as the vendor words them."""

    status: int
    code: str
    message: str = "injected by the lab"


@dataclass(frozen=True)
class Delay:
    """Do what was asked, but answer after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class DropAfterCommit:
    """Do what was asked, then cut the connection instead of answering."""


@dataclass(frozen=True)
class Pretend:
    """Answer as if it were done, and do nothing: what a vendor's half-broken host does."""


Action = Answer | Delay | DropAfterCommit | Pretend


@dataclass(frozen=True)
class Rule:
    """Which calls a fault hits.

    Attributes:
        method: `POST`.
        path: a regular expression that must match the whole path below the API's root.
        action: what happens.
        nth: the matching calls that are hit, counted from 1; empty means every one.
    """

    method: str
    path: str
    action: Action
    nth: frozenset[int] = frozenset({1})


@dataclass
class FaultTable:
    """The rules of one stand-in, and how often each matched. The first rule that is due wins."""

    rules: list[Rule] = field(default_factory=list)
    matched: Counter[Rule] = field(default_factory=Counter)

    def add(self, rule: Rule) -> None:
        """Put a rule behind the others; its count starts now."""
        self.rules.append(rule)

    def due(self, method: str, path: str) -> Action | None:
        """Count a call and return the fault it is due, if any."""
        found: Action | None = None
        for rule in list(self.rules):
            if rule.method != method or not re.fullmatch(rule.path, path):
                continue
            self.matched[rule] += 1
            if found is None and (not rule.nth or self.matched[rule] in rule.nth):
                found = rule.action
        return found
