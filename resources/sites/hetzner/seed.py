"""Seeding a record to a Hetzner project: one snapshot per record, created at most once.

    find ── ready ──▶ adopt            (no mutating call)
      ├── being written, or pending ──▶ wait, commit         (resumed)
      └── none ──▶ reap leftovers ─▶ count snapshots ─▶ look at the source ─▶ server ─▶ rescue system ─▶ write
               ─▶ read back ─▶ power off ─▶ snapshot (pending) ─▶ commit (ready, protected) ─▶ delete the server

A killed run leaves at most a server and a key, which the next run deletes, or a snapshot labelled `pending`, which
the next run commits: that label is only written after the disk was read back and found right. What another environment
made is adopted once it is ready, as it stands; what it is still making is waited for until its time is over, and never
changed, finished or deleted.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.ownership import OURS, Owner
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.quantity import quantity
from hyops_assets.contract.record import Record
from hyops_assets.contract.seed_policy import clock
from hyops_assets.contract.seeding import Outcome, SeedRequest
from hyops_assets.contract.upkeep import IsLive
from hyops_assets.settings.sites import HetznerSite
from resources.sites.hetzner import rescue
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.cost import Cost
from resources.sites.hetzner.errors import (
    ActionFailed,
    BrokenImage,
    HetznerUnavailable,
    LimitReached,
    MissingImage,
    NotFound,
    NotThatSnapshot,
    SeedBusy,
)
from resources.sites.hetzner.inventory import Offer, Snapshot
from resources.sites.hetzner.labels import Labels, description_of, image_selector, seeder_selector
from resources.sites.hetzner.leftovers import expiry_of, reap_leftovers
from resources.sites.hetzner.options import PaidSnapshot
from resources.sites.hetzner.report import ImageFacts, SeededImage
from resources.sites.hetzner.source import OpenSource, published
from resources.sites.hetzner.workbench import Workbench, workbench
from resources.sites.journal import Journal

_NONE = PaidSnapshot()


class HetznerSeeder:
    """Seeds records to one site.

    Args:
        client: of the site's project.
        site: its settings.
        is_live: tells whether another run is still at work, so that its server is not taken for a leftover.
        clock: epoch seconds; Hetzner's own clock unless another is given.
    """

    def __init__(
        self,
        client: HetznerClient,
        site: HetznerSite,
        *,
        is_live: IsLive = lambda run_id: False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._site = site
        self._is_live = is_live
        self._clock = clock or client.now

    def find(self, record: Record) -> list[Snapshot]:
        """Return the snapshots that claim to hold a record, by its content, oldest first, whatever their state."""
        return [
            snapshot
            for snapshot in self._client.list_snapshots(image_selector(record))
            if (labels := Labels.parse(snapshot.labels)) is not None and labels.of_record(record)
        ]

    def audit(self, image_ref: str) -> ImageFacts:
        """Return what a snapshot says about itself.

        Raises:
            MissingImage: there is none.
        """
        try:
            snapshot = self._client.get_snapshot(int(image_ref))
        except (NotFound, ValueError) as error:
            raise MissingImage(
                f"the project has no snapshot {image_ref!r}", hint="seed the record again; it was deleted"
            ) from error
        return ImageFacts.of(snapshot)

    def snapshots(self) -> dict[int, str]:
        """Return the descriptions of all snapshots of the project, by id."""
        return {snapshot.id: snapshot.description for snapshot in self._client.list_snapshots()}

    def seed(
        self,
        request: SeedRequest,
        options: PaidSnapshot = _NONE,
        *,
        open_source: OpenSource = published,
        before_creation: Callable[[], None] = lambda: None,
        progress: Progress = silent,
    ) -> SeededImage:
        """Make sure that the site's project holds the record as one ready snapshot, and return it.

        Args:
            request: the record.
            options: what is asked besides.
            open_source: yields what is written, where the record is not there yet.
            before_creation: called before anything is made; raises where nothing may be.
            progress: called with stage, bytes done and total.

        Raises:
            Refused: a lab's record at a site that is no lab, no raw.xz, or a source that is not the record's.
            NotThatSnapshot, MissingImage: what is asked is not so, and nothing was changed for it.
            LimitReached: no room for another snapshot.
            BrokenImage: a snapshot says it is ready, and is not available.
            TransientError: worth another try; nothing is left that the next run does not take up.
            HyopsError: anything else, for good.
        """
        record = request.record
        if record.lab and not self._site.lab:
            raise Refused(
                f"{record.key} {record.version} was signed by a lab, and {request.site} is no lab",
                hint="build the record from an ISO that VyOS signed",
            )
        journal = Journal(progress=progress)
        with journal.step("find"):
            found = self._found(request)
            ready = _ready(found, options)
        if ready:
            return self._adopt(request, ready, journal)
        self._require_alone(request, found)
        pending = self._resumable(request, found, journal)
        if pending is not None:
            _require_named(pending, options)
            committed = self._commit(pending, journal)
            # Only now: the server of a snapshot that was still being written must outlive it.
            reaped = self._reap(request, journal)
            return self._seeded("resumed", committed, journal, owner=OURS, reaped=reaped)
        _require_creation(record, options)
        before_creation()
        return self._create(request, options, open_source, journal)

    def outlook(self, request: SeedRequest, options: PaidSnapshot) -> str:
        """Return the id of the snapshot that a seed would adopt; empty where none is ready.

        Raises:
            NotThatSnapshot: another one was asked for.
        """
        return next((str(snapshot.id) for snapshot in _ready(self._found(request), options)), "")

    def _found(self, request: SeedRequest) -> list[Snapshot]:
        """Return what `find` does: our own before others', which may be deleted by those who made them."""
        return sorted(self.find(request.record), key=lambda snapshot: not self._owner(request, snapshot).ours)

    def _adopt(self, request: SeedRequest, ready: list[Snapshot], journal: Journal) -> SeededImage:
        chosen = ready[0]
        if chosen.status != "available":
            raise BrokenImage(
                f"snapshot {chosen.id} says it is ready and is {chosen.status}",
                hint="see the Hetzner console; once nothing needs it, unprotect and delete it, then seed again",
            )
        outcome: Outcome = "adopted"
        owner = self._owner(request, chosen)
        if owner.ours and self._site.protect and not chosen.protected:
            # A run was killed between the commit and this.
            self._client.protect_snapshot(chosen)
            outcome = "resumed"
        reaped = self._reap(request, journal)
        others = [str(snapshot.id) for snapshot in ready[1:]]
        return self._seeded(outcome, chosen, journal, owner=owner, others=others, reaped=reaped)

    def _resumable(self, request: SeedRequest, found: list[Snapshot], journal: Journal) -> Snapshot | None:
        """Return our first pending snapshot that is, or becomes, available; delete those that never will."""
        for snapshot in found:
            if not self._owner(request, snapshot).ours:
                continue
            self._require_idle(request, _labels(snapshot).run_id)
            try:
                with journal.step("snapshot"):
                    return self._client.wait_snapshot(snapshot.id)
            except NotFound:
                continue
            except ActionFailed:
                with suppress(NotFound):
                    if self._client.get_snapshot(snapshot.id).status == "creating":
                        raise
                    self._client.delete_snapshot(snapshot)
        return None

    def _create(
        self, request: SeedRequest, options: PaidSnapshot, open_source: OpenSource, journal: Journal
    ) -> SeededImage:
        reaped = self._reap(request, journal)
        twins = self._require_room(request.record)
        labels = Labels.of(request, role="image", expires=self._expiry())
        with ExitStack() as stack:
            with journal.step("source"):
                source = stack.enter_context(open_source(request, journal.progress))
            began = time.monotonic()
            with journal.step("server"):
                seeder = replace(labels, role="seeder")
                bench = stack.enter_context(workbench(self._client, self._site, request, seeder, options))
            with journal.step("rescue"):
                bench.boot_rescue(request.record.disk)
            with journal.step("write"):
                written = rescue.write_disk(
                    bench.login, source, request.record.disk, timeouts=self._client.timeouts, progress=journal.progress
                )
            with journal.step("power off"):
                bench.shut_down()
            with journal.step("snapshot"):
                snapshot = self._take_snapshot(bench, request.record, labels)
            committed = self._commit(snapshot, journal)
            with journal.step("clean up"):
                stack.close()
        return replace(
            self._seeded("created", committed, journal, owner=OURS, others=twins, reaped=reaped),
            cost=self._cost(committed, offer=bench.offer, seconds=time.monotonic() - began),
            transport_sha256=written.transport_sha256,
            readback_sha256=written.readback_sha256,
            rescue_proof=written.rescue_proof,
            bytes_written=written.bytes_written,
            bytes_sent=written.bytes_sent,
            server_type=bench.offer.server_type,
            location=bench.offer.location,
        )

    def _take_snapshot(self, bench: Workbench, record: Record, labels: Labels) -> Snapshot:
        """Take a snapshot, and only one: after a lost answer it is looked for before it is asked for again."""

        def mine() -> list[Snapshot]:
            return [snapshot for snapshot in self.find(record) if snapshot.server_id == bench.server.id]

        try:
            asked = self._client.create_snapshot(bench.server, description_of(record), labels.written())
        except HetznerUnavailable:
            try:
                self._client.settle_server(bench.server)
            except NotFound as error:
                why = f"server {bench.server.name} is gone before its snapshot was taken"
                raise ActionFailed(why, hint="seed again; see the console") from error
            known = mine()
            asked = (
                known[0]
                if known
                else self._client.create_snapshot(bench.server, description_of(record), labels.written())
            )
        snapshot = self._client.wait_snapshot(asked.id)
        for stray in mine():
            if stray.id != snapshot.id:
                self._client.delete_snapshot(stray)
        if snapshot.architecture != "x86" or snapshot.disk_gb > bench.offer.disk_gb:
            raise BrokenImage(
                f"snapshot {snapshot.id} is {snapshot.architecture}, {snapshot.disk_gb} GB; "
                f"written was x86, {bench.offer.disk_gb} GB",
                hint="delete it in the Hetzner console, then seed again",
            )
        return snapshot

    def _commit(self, snapshot: Snapshot, journal: Journal) -> Snapshot:
        """Label a snapshot ready, then protect it: a protected one takes no more labels (423 `protected`)."""
        with journal.step("commit"):
            committed = self._client.label_snapshot(snapshot, _labels(snapshot).ready().written())
            if self._site.protect:
                self._client.protect_snapshot(committed)
        return committed

    def _require_room(self, record: Record) -> list[str]:
        """Return the ids of foreign snapshots with the record's description.

        Raises:
            LimitReached: the project holds as many snapshots as the site's settings allow.
        """
        snapshots = self._client.list_snapshots()
        if len(snapshots) >= self._site.snapshot_limit:
            raise LimitReached(
                f"the project holds {quantity(len(snapshots), 'snapshot')} of {self._site.snapshot_limit}",
                hint="delete superseded snapshots, or raise snapshot_limit in the site's settings "
                "once Hetzner raised the account's",
            )
        return [str(snapshot.id) for snapshot in snapshots if snapshot.description == description_of(record)]

    def _require_idle(self, request: SeedRequest, run_id: str) -> None:
        if run_id != request.run_id and self._is_live(run_id):
            raise SeedBusy(f"run {run_id} is seeding this record", hint="wait for it")

    def _require_alone(self, request: SeedRequest, found: Sequence[Snapshot]) -> None:
        """Refuse to make twice what another environment is making of the same record in this project.

        Raises:
            SeedBusy: it is, and its time is not over.
        """
        record, now = request.record, self._clock()
        seeders = self._client.list_servers(seeder_selector())
        made = [(f"snapshot {one.id}", one.labels, one.created) for one in found]
        made += [(f"server {one.name}", one.labels, one.created) for one in seeders]
        for what, written, created in made:
            labels = Labels.parse(written)
            if labels is None or not labels.of_record(record):
                continue
            owner = request.owner_of(labels.claim, is_live=self._is_live)
            expiry = expiry_of(labels, created)
            # What says no time would be waited for without an end.
            if not owner.ours and expiry is not None and expiry > now:
                raise SeedBusy(
                    f"{what} may be another environment's seed of this record, at work until {clock(expiry)}:"
                    f" {owner.why}",
                    hint="seed again then: what is ready by then is adopted, as it stands",
                )

    def _owner(self, request: SeedRequest, snapshot: Snapshot) -> Owner:
        return request.owner_of(_labels(snapshot).claim, is_live=self._is_live)

    def _reap(self, request: SeedRequest, journal: Journal) -> list[str]:
        with journal.step("reap"):
            return reap_leftovers(self._client, request, now=self._clock(), is_live=self._is_live)

    def _cost(self, snapshot: Snapshot, *, offer: Offer | None = None, seconds: float = 0.0) -> Cost:
        per_month = self._site.snapshot_eur_per_gb_month
        return Cost.of(snapshot, eur_per_gb_month=per_month, offer=offer, seconds=seconds)

    def _seeded(
        self,
        outcome: Outcome,
        snapshot: Snapshot,
        journal: Journal,
        *,
        owner: Owner,
        others: Sequence[str] = (),
        reaped: Sequence[str] = (),
    ) -> SeededImage:
        return SeededImage(
            outcome=outcome,
            image_ref=str(snapshot.id),
            name=snapshot.description,
            description=snapshot.description,
            labels=snapshot.labels,
            cost=self._cost(snapshot),
            owner=owner,
            warnings=tuple(journal.warnings),
            timings=dict(journal.timings),
            others=tuple(others),
            reaped=tuple(reaped),
        )

    def _expiry(self) -> int:
        return int(self._clock() + self._client.timeouts.lifetime)


def _labels(snapshot: Snapshot) -> Labels:
    """Return the labels of a snapshot that was found by them."""
    labels = Labels.parse(snapshot.labels)
    if labels is None:
        raise BrokenImage(f"snapshot {snapshot.id} lost its labels", hint="look at it in the Hetzner console")
    return labels


def _ready(found: Sequence[Snapshot], options: PaidSnapshot) -> list[Snapshot]:
    """Return the snapshots that say they are ready: the one that was asked for first.

    Raises:
        NotThatSnapshot: none of them is the one that was asked for.
    """
    ready = [snapshot for snapshot in found if _labels(snapshot).state == "ready"]
    ready.sort(key=lambda snapshot: not _is_named(snapshot, options))
    if ready:
        _require_named(ready[0], options)
    return ready


def _is_named(snapshot: Snapshot, options: PaidSnapshot) -> bool:
    return options.image_ref in ("", str(snapshot.id), snapshot.description)


def _require_named(snapshot: Snapshot, options: PaidSnapshot) -> None:
    """See that a snapshot is the one that was asked for, if one was.

    Raises:
        NotThatSnapshot: another one was.
    """
    if not _is_named(snapshot, options):
        raise NotThatSnapshot(
            f"snapshot {snapshot.id} ({snapshot.description}) holds the record, not {options.image_ref!r}",
            hint=f"set image_ref to {snapshot.id}, or leave it out",
        )


def _require_creation(record: Record, options: PaidSnapshot) -> None:
    """See that a snapshot may be made.

    Raises:
        MissingImage: it may not: one that is there was asked for.
    """
    name = f"{record.key} {record.version}"
    if options.image_ref:
        raise MissingImage(
            f"no snapshot of the project says that it holds {name}; image_ref {options.image_ref!r} was expected to",
            hint="leave image_ref out to have one made; one that others made, or of another record, is taken in "
            "by core/hetzner/vyos-image-register at its project's site",
        )
    if not options.may_create:
        raise MissingImage(
            f"no snapshot holds {name}, and seed_if_missing is false", hint="set seed_if_missing to true"
        )
