"""What was promised beside what is found, one question a link: what lineage walks, and what drift compares."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.record import Record
from resources.border import said_of
from resources.sites.hetzner.labels import description_of
from resources.sites.hetzner.report import ImageFacts
from resources.sites.proxmox.facts import TemplateFacts


@dataclass(frozen=True)
class Link:
    """One link of the chain: what was looked at, what it should say, what it says."""

    name: str
    expected: str
    found: str

    @property
    def holds(self) -> bool:
        """Whether the link is whole."""
        return self.found == self.expected


def read_link(name: str, expected: str, find: Callable[[], str]) -> Link:
    """Return a link that is read now; one that cannot be read says why."""
    try:
        return Link(name, expected, find())
    except HyopsError as error:
        return Link(name, expected, said_of(error))


def template_links(seeded: SeededAt, record: Record, audit: Callable[[], TemplateFacts]) -> Iterator[Link]:
    """Yield what a template that a seed left says of itself now, beside what it should say."""
    where = f"{seeded.site}: VMID {seeded.ref}"
    try:
        found = audit()
    except HyopsError as error:
        yield Link(f"{where} can be read", "yes", said_of(error))
        return
    lineage = found.lineage
    yield Link(f"{where} is a whole template", "yes", "yes" if found.converted else "no")
    yield Link(f"{where} says that its seed was committed", "ready", lineage.state if lineage else "nothing")
    yield Link(f"{where} holds the record's disk", record.disk.sha256, lineage.disk_sha256 if lineage else "unknown")
    yield Link(f"{where} was seeded from the record", record.digest, lineage.record_digest if lineage else "unknown")
    yield from _maker_link(where, seeded, lineage.environment if lineage else None)
    yield Link(f"{where} has no other fault", "", "; ".join(found.problems(record)))


def image_links(seeded: SeededAt, record: Record, audit: Callable[[], ImageFacts]) -> Iterator[Link]:
    """Yield what a snapshot that a seed left says of itself now, beside what it should say."""
    where = f"{seeded.site}: snapshot {seeded.ref}"
    try:
        found = audit()
    except HyopsError as error:
        yield Link(f"{where} can be read", "yes", said_of(error))
        return
    labels = found.labels
    yield Link(f"{where} is available", "available", found.status)
    yield Link(f"{where} says that its seed was committed", "ready", labels.state if labels else "nothing")
    yield Link(f"{where} holds the record's disk", record.disk.sha256, labels.disk_sha256 if labels else "unknown")
    yield Link(f"{where} was seeded from the record", record.digest, labels.record_digest if labels else "unknown")
    yield from _maker_link(where, seeded, labels.environment if labels else None)
    yield Link(
        f"{where} carries the name that HybridOps looks for",
        description_of(record),
        found.description,
    )


def _maker_link(where: str, seeded: SeededAt, said: str | None) -> Iterator[Link]:
    """Yield whose it is, where both say so: what an older version made names no environment."""
    if seeded.environment is not None and said is not None:
        yield Link(f"{where} belongs to the environment that its seed found", seeded.environment, said)
