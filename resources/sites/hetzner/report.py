"""What a seed says of itself when it is done: outcome, digests, times and cost; and what a snapshot says of itself."""

from dataclasses import dataclass
from datetime import datetime

from resources.sites.hetzner.cost import Cost
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.labels import Labels
from resources.sites.journal import SeedReport


@dataclass(frozen=True, kw_only=True)
class SeededImage(SeedReport):
    """A snapshot that holds the record, and how it came to.

    Attributes:
        image_ref: the snapshot's id, as HyOps' states write it.
        name: the same as the description; Hetzner's snapshots have no name.
        cost: an estimate of what this run cost, and what the snapshot costs.
        transport_sha256: of the raw.xz as it arrived, None unless this run wrote.
        readback_sha256: of the disk as it was read back, None unless this run wrote.
        rescue_proof: what the rescue system proved itself by: `shadow`, `user_data`; empty unless this run wrote.
        bytes_written: to the disk, zeros included.
        bytes_sent: of the raw.xz that arrived; 0 unless this run wrote. A disk that is written twice is sent twice.
        server_type: of the server it was written on.
        location: of that server.
        others: ids of further snapshots that claim the same record or carry the same description.
        reaped: names of leftovers that were deleted.
    """

    image_ref: str
    name: str
    description: str
    labels: dict[str, str]
    cost: Cost
    transport_sha256: str | None = None
    readback_sha256: str | None = None
    rescue_proof: tuple[str, ...] = ()
    bytes_written: int = 0
    bytes_sent: int = 0
    server_type: str | None = None
    location: str | None = None
    others: tuple[str, ...] = ()
    reaped: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageFacts:
    """What a snapshot says about itself now, for the lineage check. `labels` is None where they are not ours."""

    image_ref: str
    status: str
    description: str
    labels: Labels | None
    protected: bool
    created: datetime
    disk_gb: float
    image_gb: float | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "ImageFacts":
        """Return what a snapshot says."""
        return cls(
            image_ref=str(snapshot.id),
            status=snapshot.status,
            description=snapshot.description,
            labels=Labels.parse(snapshot.labels),
            protected=snapshot.protected,
            created=snapshot.created,
            disk_gb=snapshot.disk_gb,
            image_gb=snapshot.image_gb,
        )
