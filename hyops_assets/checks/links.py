"""The links between a seed's document and what stands at its site, the same for every cloud."""

from collections.abc import Callable, Iterator

from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.record import Record
from resources.error_border import said_of
from resources.sites.base import Audited
from resources.sites.links import Link


def site_links(noun: str, seeded: SeededAt, record: Record, audit: Callable[[], Audited]) -> Iterator[Link]:
    """Yield what something that a seed left says of itself now, beside what it should say.

    Args:
        noun: what its id is called, such as `VMID`.
        seeded: what the seed's document says.
        record: that it has to hold.
        audit: reads it.
    """
    where = f"{seeded.site}: {noun} {seeded.ref}"
    try:
        found = audit()
    except HyopsError as error:
        yield Link(f"{where} can be read", "yes", said_of(error))
        return
    yield found.whole.of(where)
    yield Link(f"{where} says that its seed was committed", "ready", found.state or "nothing")
    yield Link(f"{where} holds the record's disk", record.disk.sha256, found.disk_sha256 or "unknown")
    yield Link(f"{where} was seeded from the record", record.digest, found.record_digest or "unknown")
    # Where both say so: what an older version made names no environment.
    if seeded.environment is not None and found.environment is not None:
        yield Link(f"{where} belongs to the environment that its seed found", seeded.environment, found.environment)
    yield found.fault(record).of(where)
