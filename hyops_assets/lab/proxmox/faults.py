"""Faults on demand: what a request meets instead of, or after, its answer."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """One rule. `path` is a regular expression over the whole path below `/api2/json`.

    Attributes:
        method: the HTTP method it applies to.
        path: the pattern of the path.
        nth: the first matching request that is hit, counted from 1.
        times: how many matching requests are hit from there on.
        status: the HTTP status of the answer; the request has no other effect.
        reason: the reason phrase of that answer.
        drop_after_commit: do the work and then cut the connection: the client never learns of it.
    """

    method: str
    path: str
    nth: int = 1
    times: int = 1
    status: int = 500
    reason: str = "got timeout"
    drop_after_commit: bool = False


@dataclass
class Faults:
    """The rules in force, and how often each was matched."""

    rules: list[Fault] = field(default_factory=list[Fault])
    _matches: dict[Fault, int] = field(default_factory=dict[Fault, int])

    def add(self, fault: Fault) -> None:
        """Put a rule in force; it counts from now on."""
        self.rules.append(fault)
        self._matches[fault] = 0

    def hit(self, method: str, path: str) -> Fault | None:
        """Return the rule that this request falls under now, and count the request."""
        struck: Fault | None = None
        for rule in self.rules:
            if rule.method == method and re.fullmatch(rule.path, path):
                self._matches[rule] += 1
                if struck is None and rule.nth <= self._matches[rule] < rule.nth + rule.times:
                    struck = rule
        return struck
