"""The seeds, one asset for each cloud of the registry: a published record at a site, found by digest or made, once.

What belongs here: which record goes where, what is reported about it, and which state slot moves. How a place is
brought to hold the bytes stands in the cloud's folder (`resources/sites`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg
from pydantic import BaseModel

from hyops_assets.assets.daily_cap import require_within_cap
from hyops_assets.assets.run_config import RunOptions, fields_of
from hyops_assets.assets.run_liveness import is_live
from hyops_assets.assets.run_tags import another_slot, module_run, record_state
from hyops_assets.assets.seed_command import seeded_by
from hyops_assets.assets.steps import step
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.ownership import Owner
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import Outputs
from hyops_assets.contract.steps import Step
from hyops_assets.seeds.partitions import CLOUDS, Cloud, site_of
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import default_site
from resources.artifacts.store import ArtifactStore
from resources.error_border import bordered
from resources.sites.base import Fact, Order, PaidSeed, Place, Seeded, Slot
from resources.sites.resource import OpenSites
from resources.states.current_record import current_digest, naming_state
from resources.states.store import StateStore

GROUP = "seeds"

Metadata = dict[str, str | int | bool | dg.MetadataValue]


@dataclass(frozen=True)
class _Cell:
    """One record at one site: what its seed works with."""

    context: dg.AssetExecutionContext
    cloud: Cloud
    contract: Contract
    asked: RunOptions
    settings: Settings
    store: ArtifactStore
    states: StateStore

    @property
    def site(self) -> str:
        return site_of(self.context.partition_key)

    @property
    def options(self) -> BaseModel:
        return self.asked.of(self.cloud.spec.options)

    @property
    def state(self) -> StateRef:
        """The site's own slot."""
        sites = self.cloud.sites(self.settings)
        return StateRef(self.cloud.spec.module, instance_of(self.site, default_site(sites)))

    def order(self, progress: Step, before_creation: Callable[[], None]) -> Order:
        """Return what the site is asked for."""
        return Order(
            contract=self.contract,
            options=self.options,
            handed_over=self.asked.handed_over,
            run_id=self.context.run.run_id,
            site=self.site,
            environment=self.settings.environment_id,
            slot=self._slot,
            before_creation=before_creation,
            progress=progress,
        )

    def require_within_cap(self) -> None:
        """See that what costs money may be made; see `daily_cap.require_within_cap`."""
        options = self.options
        if isinstance(options, PaidSeed) and options.may_create:
            require_within_cap(self.context, self.cloud, options, self.settings)

    def result(
        self, ref: str, outcome: str, maker: str | None, said: Metadata, outputs: Outputs
    ) -> dg.MaterializeResult[SeededAt]:
        """Return what the seed leaves: its document, what an auditor sees, and the state's slot, if that moves."""
        record = self.contract.record
        document = SeededAt(
            site=self.site,
            ref=ref,
            version=record.version,
            record_digest=self.contract.record_digest,
            disk_sha256=record.disk.sha256,
            environment=maker,
        )
        moved = move_slot(self.states, self.state, self.contract, self.context.run, outputs)
        return dg.MaterializeResult(
            value=document,
            data_version=dg.DataVersion(record.disk.sha256),
            metadata=lineage_of(self.contract, outcome) | said | moved,
        )

    def _slot(self) -> Slot:
        held = self.states.find(self.state)
        return Slot(
            self.state,
            held.outputs if held is not None else {},
            lambda: moves_slot(self.states, self.state, self.contract, self.context.run),
        )


def seed_asset(cloud: Cloud) -> dg.AssetsDefinition:
    """Return the asset that seeds a cloud's sites."""

    @dg.asset(
        name=cloud.spec.asset,
        description=cloud.spec.description,
        partitions_def=cloud.seeds,
        group_name=GROUP,
        kinds={cloud.name},
        code_version="1",
        io_manager_key="documents",
        config_schema=fields_of(cloud.spec.options),
    )
    @bordered
    def seed(
        context: dg.AssetExecutionContext,
        published_contract: Contract,
        asked: dg.ResourceParam[RunOptions],
        settings: dg.ResourceParam[Settings],
        store: dg.ResourceParam[ArtifactStore],
        states: dg.ResourceParam[StateStore],
        sites: dg.ResourceParam[OpenSites],
    ) -> dg.MaterializeResult[SeededAt]:
        cell = _Cell(context, cloud, published_contract, asked, settings, store, states)
        with step(context, cloud.spec.asset, at=cell.site) as progress:
            place = sites[cloud.name].place(cell.site, is_live=others_live(context))
            if asked.handed_over.seed_command and not place.holds(published_contract.record):
                return _by_command(cell, place, progress)
            permitted: list[str] = []

            def before_creation() -> None:
                cell.require_within_cap()
                permitted.append(cell.site)

            seeded = place.seed(cell.order(progress, before_creation))
            if cloud.spec.paid and seeded.report.outcome == "created" and not permitted:
                raise AssertionError(f"{cloud.name} made what costs money and did not call order.before_creation")
            progress.ended(seeded.report.outcome, seeded.size_bytes)
        return _result(cell, seeded)

    return seed


def _result(cell: _Cell, seeded: Seeded) -> dg.MaterializeResult[SeededAt]:
    report = seeded.report
    maker = maker_of(report.owner, seeded.environment, cell.settings.environment_id)
    outputs = dict(seeded.outputs)
    if maker is not None:
        outputs[cell.cloud.spec.environment_output] = maker
    facts = dict(seeded.facts) | {"warnings": list(report.warnings), "timings": dict(report.timings)}
    said: Metadata = {"ref": seeded.ref, "ownership": ownership_of(report.owner)}
    said |= {name: _shown(fact) for name, fact in facts.items()}
    return cell.result(seeded.ref, report.outcome, maker, said, outputs)


def _by_command(cell: _Cell, place: Place, progress: Step) -> dg.MaterializeResult[SeededAt]:
    """Have the operator's command seed, unless it did; then look at what it made, as a registration does."""
    known, spec = known_of(cell.cloud.spec.asset, cell.context, cell.contract, cell.store), cell.cloud.spec
    if known is not None:
        made = known.ref
    else:
        options = cell.options
        if isinstance(options, PaidSeed):
            require_within_cap(cell.context, cell.cloud, options, cell.settings)
        made = str(
            seeded_by(cell.asked.handed_over, cell.contract, spec.takes, cell.site, spec.answer, cell.store, progress)
        )
    found = place.vouch(cell.contract, made, made=known is None)
    progress.ended("adopted" if known else "created", 0)
    said: Metadata = {
        "seeded by": "a command of the operator's: that it is there was looked up, its disk was not read back",
        "ref": made,
        "warnings": dg.MetadataValue.json(list(found.warnings)),
    }
    return cell.result(made, progress.outcome, None, said, found.outputs)


def _shown(fact: Fact) -> str | int | dg.MetadataValue:
    return dg.MetadataValue.json(fact) if isinstance(fact, (dict, list)) else fact


def others_live(context: dg.AssetExecutionContext) -> Callable[[str], bool | None]:
    """Return what tells whether another run is still at work: what it put into a cloud is then not a leftover.

    It answers None for a run that this instance does not know: another host's, or one that was forgotten.
    """
    return lambda run_id: is_live(context.instance, run_id)


def known_of(
    asset: str, context: dg.AssetExecutionContext, contract: Contract, store: ArtifactStore
) -> SeededAt | None:
    """Return what an earlier run's command made of this very record at this site."""
    held = store.find_document(asset, context.partition_key, SeededAt)
    return held if held is not None and held.record_digest == contract.record_digest else None


def maker_of(owner: Owner, said: str | None, environment: str | None) -> str | None:
    """Return the id of the environment that made something; None where that is not known.

    Args:
        owner: whose it is.
        said: the id that is written on it.
        environment: the id of the one that asked for the seed.
    """
    return environment if owner.ours else said if owner.whose == "another's" else None


def ownership_of(owner: Owner) -> str:
    """Return what an auditor sees of whose a template or an image is."""
    return owner.why if owner.ours else f"{owner.why}: it is used as it stands, and never changed or removed here"


def lineage_of(contract: Contract, outcome: str) -> Metadata:
    """Return the metadata that an auditor asks of any seed."""
    record = contract.record
    return {
        "outcome": outcome,
        "version": record.version,
        "disk_sha256": record.disk.sha256,
        "record_digest": contract.record_digest,
        "record document": dg.MetadataValue.url(contract.record_url) if contract.record_url else "none",
        "iso_sha256": record.iso_sha256 or "registered: built elsewhere",
        "disk_bytes": record.disk.size_bytes,
    }


def instance_of(site: str, default: str | None) -> str | None:
    """Return the state instance of a site: the default site's state is `latest.json` (design, rule 5)."""
    return None if site == default else site


def moves_slot(states: StateStore, own: StateRef, contract: Contract, run: dg.DagsterRun) -> bool:
    """Whether a seed writes the site's own slot: it is of the record that the build slot names."""
    if another_slot(run, own) is not None:
        return False
    return current_digest(states, record_state(run)) == contract.record_digest


def move_slot(
    states: StateStore, own: StateRef, contract: Contract, run: dg.DagsterRun, outputs: Outputs
) -> dict[str, str | bool]:
    """Write the site's state slot if this is the record that the build slot names; seeding history moves none.

    A slot that the run was asked to write instead is written whatever the record: no other slot's meaning moves.
    """
    asked = another_slot(run, own)
    if asked is None and not moves_slot(states, own, contract, run):
        return {
            "state": f"{own} stays: {naming_state(states, record_state(run))} names another record",
            "state_changed": False,
        }
    ref = asked or own
    changed = states.commit(ref, run_id=module_run(run), outputs=outputs)
    return {"state": str(states.path(ref)), "state_changed": changed}


SEEDS = {cloud.name: seed_asset(cloud) for cloud in CLOUDS}
"""The seeds, by their cloud's name."""
