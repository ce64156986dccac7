"""Whose a thing at a site is: this environment's, another's, or not known. Pure: what it says is read elsewhere.

Several environments may seed into one project or one node. Each has a random id, and writes it on what it makes. What
an older version made says no environment: it is this one's only where this environment's own runs or documents prove
it, and otherwise not known. Only what is ours is ever changed or removed
(docs/decisions/0022-every-thing-says-whose-it-is.md).
"""

import re
import secrets
from dataclasses import dataclass
from typing import Literal

from hyops_assets.contract.canonical import digest_of

_ID = re.compile(r"[0-9a-f]{20}")

Whose = Literal["ours", "another's", "unknown"]


def new_environment_id() -> str:
    """Return a fresh id: 20 hex digits, so that it fits into any label, tag and JSON."""
    return secrets.token_hex(10)


def is_environment_id(text: str) -> bool:
    """Whether a text is the id of an environment."""
    return _ID.fullmatch(text) is not None


def seal_of(environment: str, *, seed_id: str, record_digest: str) -> str:
    """Return 16 hex digits that tie an environment's id to the seed that wrote it.

    No secret: it shows that an id was changed on a thing or carried over to another one, by hand or by a script. Who
    means to forge it can, and may delete the thing itself as well.
    """
    return digest_of({"environment": environment, "record": record_digest, "seed": seed_id})[:16]


@dataclass(frozen=True)
class Claim:
    """What a thing says about whose it is.

    Attributes:
        environment: the id that is written on it; None where none is.
        seal: what ties that id to the seed; None where nothing does.
        seed_id: of the seed that made it.
        record_digest: of the record that it holds, or was made for.
        run_id: the run that made it.
    """

    environment: str | None
    seal: str | None
    seed_id: str
    record_digest: str
    run_id: str

    @property
    def sealed(self) -> bool:
        """Whether the id is the one that the seed wrote."""
        return self.environment is not None and self.seal == seal_of(
            self.environment, seed_id=self.seed_id, record_digest=self.record_digest
        )


@dataclass(frozen=True)
class Owner:
    """Whose a thing is, and why that is known, or is not: a phrase for people."""

    whose: Whose
    why: str

    @property
    def ours(self) -> bool:
        """Whether this environment may change or remove it."""
        return self.whose == "ours"


OURS = Owner("ours", "this environment made it")


def owner_of(claim: Claim, environment: str | None, *, proven: bool) -> Owner:
    """Tell whose a thing is.

    Args:
        claim: what it says.
        environment: the id of the one that asks; None where it has none yet, so that nothing with an id is its own.
        proven: whether a run or a document of the one that asks shows that it made the thing.
    """
    said = claim.environment
    if said is None:
        return OURS if proven else Owner("unknown", "it names no environment, and no run or document here made it")
    if not is_environment_id(said):
        return Owner("unknown", f"the environment that it names, {said!r}, is none")
    if said != environment:
        return Owner("another's", f"belongs to environment {said}")
    if proven or claim.sealed:
        return OURS
    return Owner("unknown", "it names this environment, which is not what its seed wrote: somebody changed it")
