"""What an operator may ask of one seed besides which record: inputs of `core/hetzner/vyos-image-seed`."""

from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.record import Record
from resources.sites.hetzner.errors import MissingImage
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.staging import STAGING


class NotThatSnapshot(Refused):
    """The snapshot that holds the record is not the one that was asked for. Nothing was changed."""


@dataclass(frozen=True)
class Wrapper:
    """Where a raw.xz that is made here of a qcow2 is served for one seed.

    Attributes:
        base_url: under which the server that writes reaches this host.
        port: that is listened on here, on every address.
        staging: where it is made.
    """

    base_url: str
    port: int
    staging: Path = STAGING


@dataclass(frozen=True)
class Wishes:
    """What is asked.

    Attributes:
        server_type: of the server that writes; the smallest and cheapest where empty.
        location: of that server; the site's where empty.
        image_ref: id or description of the snapshot that has to hold the record; then none is made.
        create: whether a snapshot is made where none holds the record.
        wrapper: how a record without raw.xz is brought there, if it may be.
    """

    server_type: str = ""
    location: str = ""
    image_ref: str = ""
    create: bool = True
    wrapper: Wrapper | None = None

    def require_named(self, snapshot: Snapshot) -> None:
        """See that a snapshot is the one that was asked for, if one was.

        Raises:
            NotThatSnapshot: another one was.
        """
        if self.image_ref not in ("", str(snapshot.id), snapshot.description):
            raise NotThatSnapshot(
                f"snapshot {snapshot.id} ({snapshot.description}) holds the record, not {self.image_ref!r}",
                hint=f"set image_ref to {snapshot.id}, or leave it out",
            )

    def require_creation(self, record: Record) -> None:
        """See that a snapshot may be made.

        Raises:
            MissingImage: it may not: one that is there was asked for.
        """
        name = f"{record.key} {record.version}"
        if self.image_ref:
            raise MissingImage(
                f"no snapshot of the project says that it holds {name}; image_ref {self.image_ref!r} was expected to",
                hint="leave image_ref out to have one made; one that others made, or of another record, is taken in "
                "by core/hetzner/vyos-image-register at its project's site",
            )
        if not self.create:
            raise MissingImage(
                f"no snapshot holds {name}, and seed_if_missing is false", hint="set seed_if_missing to true"
            )
