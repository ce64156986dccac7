"""A place that is seeded, and the cloud that it belongs to: what every cloud's folder says and does, but not how.

What belongs here: the protocol, and the values that cross it. A cloud is a folder with a `cloud.py`, whose row stands
in `registry.py`; seeds, checks and upkeep are written once, over these.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, Field

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.progress import Progress
from hyops_assets.contract.record import Record, VariantFormat
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.state import Outputs
from hyops_assets.contract.superseding import StateWords
from hyops_assets.contract.upkeep import Finding, IsLive
from hyops_assets.settings.pipeline import Settings
from resources.sites.cleanup import CleanupContext
from resources.sites.journal import SeedReport
from resources.sites.links import Link
from resources.sites.trial import Trial

if TYPE_CHECKING:
    import dagster as dg

Options = TypeVar("Options", bound=BaseModel)
Fact = str | int | dict[str, Any] | list[Any]
"""What an auditor sees: text, a number, or JSON."""


class PaidSeed(Frozen):
    """Options of a seed that costs money: the place asks the daily cap by `Order.before_creation`."""

    over_daily_cap: bool = Field(
        default=False, description="create the image although as many were created in 24 hours as may be"
    )

    @property
    def may_create(self) -> bool:
        """Whether something is made where nothing holds the record."""
        return True


@dataclass(frozen=True)
class Slot:
    """The state slot of a site, before its seed.

    Attributes:
        ref: of the slot.
        outputs: what it names now; empty where it is not written.
        moves: tells whether this seed will write it.
    """

    ref: StateRef
    outputs: Outputs
    moves: Callable[[], bool]


@dataclass(frozen=True)
class Order:
    """What is asked of a place: one record, by one run.

    Attributes:
        contract: of the record, with its URLs.
        options: of the cloud's own model.
        handed_over: the inputs with power that `hyops apply` handed over.
        run_id: the Dagster run, for what is written on all that the seed makes.
        site: its name.
        environment: the id of the environment that asks; None where it has none.
        slot: reads the site's state slot.
        before_creation: called before anything is made that costs money; raises where it may not be made.
        progress: called with stage, bytes done and total.
    """

    contract: Contract
    options: BaseModel
    handed_over: HandedOver
    run_id: str
    site: str
    environment: str | None
    slot: Callable[[], Slot]
    before_creation: Callable[[], None]
    progress: Progress

    def asked(self, model: type[Options]) -> Options:
        """Return the options, which are of the cloud's own model.

        Raises:
            TypeError: they are another cloud's.
        """
        if not isinstance(self.options, model):
            raise TypeError(type(self.options).__name__)
        return self.options

    def request(self, url: str) -> SeedRequest:
        """Return the request of a seed whose bytes stand under a URL."""
        return SeedRequest(
            record=self.contract.record, url=url, run_id=self.run_id, site=self.site, environment=self.environment
        )


@dataclass(frozen=True)
class Seeded:
    """What a seed left at a place, and how it came to be there.

    Attributes:
        ref: the id there, as states and documents write it.
        report: how the seed ended.
        environment: the environment that is written on it; None where none is.
        size_bytes: of the guest-visible disk.
        outputs: of the site's state.
        facts: what an auditor sees besides, of the cloud's own kind.
    """

    ref: str
    report: SeedReport
    environment: str | None
    size_bytes: int
    outputs: Outputs
    facts: Mapping[str, Fact]


@dataclass(frozen=True)
class Vouched:
    """What an operator's command made, looked up: it is the record's by its own word, and its disk was not read."""

    outputs: Outputs
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Audited:
    """What something at a place says of itself now; None where it does not say.

    Attributes:
        whole: whether it can be used at all.
        state: `ready` once its seed was committed.
        fault: whether anything else is wrong with it as the image of a record.
        ready: the record's digest and the environment, of what says itself that it is a committed seed's.
        unprotected: whether it lacks the protection that the site's settings ask for.
    """

    whole: Link
    state: str | None
    disk_sha256: str | None
    record_digest: str | None
    environment: str | None
    fault: Callable[[Record], Link]
    ready: tuple[str, str | None] | None = None
    unprotected: bool = False


@dataclass(frozen=True)
class Registered:
    """What others made at a place, and what a state says of it.

    Attributes:
        ref: the id there.
        version: of the record: its own word, else what was claimed; empty where unknown.
        outputs: of the state.
        warnings: what is not vouched for.
    """

    ref: str
    version: str
    outputs: Outputs
    warnings: tuple[str, ...]


class Look(Protocol):
    """One look at what may have to go: it finds, and it removes after having looked again."""

    def find(self) -> list[Finding]:
        """Return what is there. Nothing is changed."""
        ...

    def reap(self) -> list[Finding]:
        """Remove what may go, and return what became of it."""
        ...


class Place(Protocol):
    """One site, reached. Each call reads afresh, and raises a HyopsError where the site does not tell."""

    def holds(self, record: Record) -> bool:
        """Whether a seed would find the record here, or its own half of it, and create nothing."""
        ...

    def outlook(self, record: Record, options: BaseModel) -> str:
        """Return the id of what a seed with these options would adopt; empty where it would make one. Reads only."""
        ...

    def seed(self, order: Order) -> Seeded:
        """Have the record here once: adopt it, resume it or create it, read it back, and mark it ready last.

        Where something is to be made that costs money, `order.before_creation` is called before the first of it.
        """
        ...

    def vouch(self, contract: Contract, ref: str, *, made: bool) -> Vouched:
        """Look at what an operator's command says it made; `made` tells whether it ran now."""
        ...

    def audit(self, ref: str) -> Audited:
        """Read one thing, as its lineage is compared with its record."""
        ...

    def list(self, wanted: Collection[str]) -> Mapping[str, Audited]:
        """Read everything of ours that stands here, and what is wanted besides, by id."""
        ...

    def sweep(self, at_work: Callable[[], str | None]) -> Look:
        """Look for what dead runs left. `at_work` returns a live run that seeds here; None where there is none."""
        ...

    def superseded(self, ground: CleanupContext) -> Look:
        """Look for what newer records have replaced."""
        ...

    def preflight(self) -> str:
        """Say that a seed could run here, and what was seen. Reads only."""
        ...


@runtime_checkable
class Registers(Protocol):
    """A place that takes in what others made there: HybridOps has a module for it."""

    def register(self, claimed: ModuleInputs) -> Registered:
        """Look at what is claimed to stand here, by the inputs of that module. Reads only.

        Raises:
            TypeError: they are another module's.
            HyopsError: there is none, or it is not what is claimed.
        """
        ...


class Places(Protocol):
    """The configured sites of one cloud. A token is read when its site is asked for, not before."""

    @property
    def environment(self) -> str | None:
        """The id of the environment whose sites they are; None where it has none yet."""
        ...

    def place(self, name: str, *, is_live: IsLive = ...) -> Place:
        """Return a site.

        Args:
            name: as in `pipeline.yml`.
            is_live: tells whether another run is still at work; what it makes is then no leftover.

        Raises:
            SettingsError: no such site is configured.
            HyopsError: its secret is missing, or of no use.
        """
        ...


@dataclass(frozen=True)
class CloudSpec:
    """A cloud, as its row says it. Making one loads no client and no Dagster.

    Attributes:
        name: its section below `sites` in `pipeline.yml`, its kind and its resource.
        asset: the seed's name, and its documents'.
        description: of that asset.
        word: what a seed leaves there: `template`.
        noun: what its id is called: `VMID`.
        whole: what a site is: `node`.
        thing: one of what stands there: `template`.
        things: all of what stands there: `templates`.
        site: the settings of one site.
        options: what may be asked of one seed.
        words: how states speak of what it holds.
        environment_output: the state's output that names who made it.
        takes: the variant that an operator's command is given.
        answer: what that command prints the id as: `<answer>=<number>`.
        stands: the description of the check that what was seeded still stands.
        missing: the error for an id under which there is nothing.
        open: makes the sites of an environment's settings, for a shell.
        resource: makes the Dagster resource.
        trial: makes a site that an acceptance run tries; None where it tries none of this cloud.
        beyond_reach: what may lie at a site that no call lists or removes, and what a person does about it.
    """

    name: str
    asset: str
    description: str
    word: str
    noun: str
    whole: str
    thing: str
    things: str
    site: type[BaseModel]
    options: type[BaseModel]
    words: StateWords
    environment_output: str
    takes: VariantFormat
    answer: str
    stands: str
    missing: Callable[[str], HyopsError]
    open: Callable[[Settings], Places]
    resource: "Callable[[], dg.ResourceDefinition]"
    trial: Callable[[Settings, str], Trial] | None = None
    beyond_reach: tuple[tuple[str, str], ...] = ()

    @property
    def paid(self) -> bool:
        """Whether a seed here costs money."""
        return issubclass(self.options, PaidSeed)

    @property
    def module(self) -> str:
        """The module whose state a seed writes."""
        return self.words.naming[0]
