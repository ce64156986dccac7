"""`hyops acceptance`: one template and one image at real sites, made, audited and removed, within a cap of money.

What belongs here: what is refused before anything is made, the order of the run, and the report.
"""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import dagster as dg
import typer

from hyops_assets.assets.run_tags import INSTANCE_TAG, MODULE_RUN_TAG
from hyops_assets.checks.links import site_links
from hyops_assets.cli.acceptance.killed import KilledTrials
from hyops_assets.cli.acceptance.removal import INSTANCE, Made, TriedSite, alone, at_work
from hyops_assets.cli.acceptance.report import Trial, document_of, print_plan, print_report
from hyops_assets.cli.apply import ended_as_by_hand
from hyops_assets.cli.environment import Place
from hyops_assets.cli.graph import Graph, Ran
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.prepare import reach_environment, redactor_of
from hyops_assets.cli.progress import shown
from hyops_assets.cli.run_record import RunRecord, new_run_id, now
from hyops_assets.cli.source_iso import Source, source_of
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import Record
from hyops_assets.contract.redaction import Redactor
from hyops_assets.contract.references import StateRef
from hyops_assets.seeds.partitions import CLOUDS, add_version
from hyops_assets.settings.pipeline import NoSuchSite, Settings
from hyops_assets.settings.sites import default_site
from resources.artifacts.store import ArtifactStore
from resources.settings import settings_to_write
from resources.states.current_record import current_version
from resources.states.store import Begun, StateStore

OPT_IN = "HYOPS_ACCEPTANCE"
LEFT_OUT = "-"
_LINEAGE = "lineage_holds"
_REVISION = "use a revision, which no site holds: hyops rebuild <version> --reason acceptance"


@dataclass(frozen=True)
class AcceptanceOptions:
    """What the command line said.

    Attributes:
        sites: by name, for each cloud; the default one where empty; none where `-`.
        iso: path or URL of an ISO to build first; empty for the record that the build slot names.
        max_eur: what the run may cost at most, net.
        dry_run: only read, and list the calls.
    """

    sites: Mapping[str, str]
    iso: str
    max_eur: float | None
    dry_run: bool


@dataclass(frozen=True)
class AcceptanceRun:
    """One run: where it works, and what it is called."""

    place: Place
    settings: Settings
    run_id: str
    record: RunRecord
    redactor: Redactor
    began: float = field(default_factory=time.time)

    @property
    def states(self) -> StateStore:
        """The environment's states."""
        return StateStore(self.place.root)

    @property
    def store(self) -> ArtifactStore:
        """The environment's documents."""
        return ArtifactStore(self.place.root.artifacts)

    def contract(self, version: str) -> Contract | None:
        """Return the contract of a version, None where it was not published here."""
        return self.store.find_document("published_contract", version, Contract)


def run_acceptance(place: Place, asked: AcceptanceOptions, environ: Mapping[str, str] = os.environ) -> int:
    """Seed, audit and remove; print a report and return the exit status: 0 only where all of it held.

    Raises:
        Refused: no opt-in, no cap or one that is too low, or a site that holds the record. Nothing was made.
        SettingsError: no such site, or `pipeline.yml` does not validate.
        RunFailed: the ISO was not built.
        KeyboardInterrupt: the person at the shell ended it; what it had made was removed.
    """
    if not asked.dry_run:
        _require_consent(asked, environ)
    if not place.root.path.is_dir():
        raise Refused(f"there is no environment in {place.root.path}", hint="name another with --env or --root")
    settings = settings_to_write(place.root)
    reach_environment(place, settings)
    run_id = new_run_id("acceptance")
    redactor = redactor_of(settings, None, os.environ)
    record = RunRecord(place.root.path / "logs" / "acceptance" / run_id, below=place.root.path, redactor=redactor)
    ground = AcceptanceRun(place, settings, run_id, record, redactor)
    if asked.dry_run:
        _foresee(ground, asked)
        return 0
    with ended_as_by_hand(), alone(place.root):
        _remove_what_killed_ones_left(ground)
        trials, contract = _run(ground, asked)
    record.write("result.json", document_of(run_id, now(), trials, contract))
    print_report(place.console, trials, contract)
    return 0 if all(trial.held for trial in trials) else 1


def _foresee(ground: AcceptanceRun, asked: AcceptanceOptions) -> None:
    """Print what a run would do. Reads only."""
    if left := KilledTrials(ground.place.root, ground.settings).find():
        raise Refused(
            f"an acceptance run was killed: {'; '.join(f'{one.what} at {one.where}: {one.why}' for one in left)}",
            hint="hyops cleanup --apply removes it, and so does the next run",
        )
    source = _source(ground, asked)
    sites, contract = _looked_at(ground, asked, source)
    print_plan(ground.place.console, sites, contract, source=source.source_iso_url or source.release)


def _run(ground: AcceptanceRun, asked: AcceptanceOptions) -> tuple[list[Trial], Contract]:
    source = _source(ground, asked)
    sites, contract = _looked_at(ground, asked, source)
    if asked.iso:
        root = ground.place.root
        with shown(ground.place.console), open_instance(root) as instance:
            Graph(root, instance).build(source.release, source_iso_url=source.source_iso_url)
        # Again: the record is known by now.
        sites, contract = _looked_at(ground, asked, source)
    if contract is None:
        raise Refused(f"no contract of {source.release} was published here", hint="build it, or give --iso")
    return _tried(ground, sites, contract), contract


def _looked_at(
    ground: AcceptanceRun, asked: AcceptanceOptions, source: Source
) -> tuple[list[TriedSite], Contract | None]:
    """Return the sites, and the record's contract, None as long as it is not built.

    Raises:
        Refused: no site is left, the estimate is above the cap, or a site holds the record.
    """
    sites = _sites(ground, asked, source)
    contract = ground.contract(source.release)
    if contract is not None:
        _require_free(ground, sites, contract)
    return sites, contract


def _remove_what_killed_ones_left(ground: AcceptanceRun) -> None:
    """Remove what killed acceptance runs left, before anything else is made.

    Raises:
        Refused: something could not be removed, or could not be read.
    """
    findings = KilledTrials(ground.place.root, ground.settings).reap_alone()
    for finding in findings:
        typer.echo(ground.redactor.text(f"  {finding.where}: {finding.what}: {finding.verdict}: {finding.why}"))
    if stays := [finding for finding in findings if finding.verdict != "removed"]:
        raise Refused(
            f"an acceptance run was killed, and {stays[0].what} at {stays[0].where} stays: {stays[0].why}",
            hint="see hyops cleanup; if it is in use, keep it and remove only the state called acceptance",
        )


def _source(ground: AcceptanceRun, asked: AcceptanceOptions) -> Source:
    return source_of(asked.iso) if asked.iso else _named(ground)


def _require_consent(asked: AcceptanceOptions, environ: Mapping[str, str]) -> None:
    if environ.get(OPT_IN) != "yes":
        raise Refused(
            "an acceptance run makes things at real sites, and costs money",
            hint=f"see what it would do with --dry-run; then set {OPT_IN}=yes",
        )
    if asked.max_eur is None:
        raise Refused("no cap of cost is given", hint="give --max-eur; --dry-run prints the estimate")


def _named(ground: AcceptanceRun) -> Source:
    version = current_version(ground.states)
    if version is None or ground.contract(version) is None:
        raise Refused("the build slot names no record that was published here", hint="build one, or give --iso")
    return Source(version)


def _sites(ground: AcceptanceRun, asked: AcceptanceOptions, source: Source) -> list[TriedSite]:
    """Return the sites, each with what it costs at most.

    Raises:
        Refused: none is left, or the estimate is above the cap.
    """
    settings, contract, sites = ground.settings, ground.contract(source.release), list[TriedSite]()
    disk_bytes = contract.record.disk.size_bytes if contract else settings.build.disk_bytes
    for cloud in CLOUDS:
        configured = cloud.sites(settings)
        name = _chosen(asked.sites.get(cloud.name, ""), default_site(configured))
        if cloud.spec.trial is None or name is None:
            continue
        if name not in configured:
            raise NoSuchSite(cloud.name, name, configured)
        sites.append(TriedSite(cloud, name, cloud.spec.trial(settings, name).priced(disk_bytes)))
        _require_affordable(sites, asked)
    if not sites:
        raise Refused("no site is left", hint="configure one in config/pipeline.yml under sites, or name it")
    if any(name == INSTANCE for _, name, _ in settings.sites.each()):
        raise Refused(f"a site is called {INSTANCE}: its state is what this run writes", hint="rename the site")
    return sites


def _require_affordable(sites: list[TriedSite], asked: AcceptanceOptions) -> None:
    eur = sum(site.trial.terms.eur for site in sites if site.trial.terms)
    if asked.max_eur is not None and eur > asked.max_eur:
        raise Refused(
            f"the run may cost {eur:.4f} EUR, the cap is {asked.max_eur:.4f} EUR",
            hint=f"raise --max-eur, or leave that site out: --{sites[-1].cloud.name}-site {LEFT_OUT}",
        )


def _chosen(named: str, default: str | None) -> str | None:
    return None if named == LEFT_OUT else named or default


def _require_free(ground: AcceptanceRun, sites: list[TriedSite], contract: Contract) -> None:
    """See that no site holds the record, or is expected to, and that no run is at work there.

    Raises:
        Refused: one is.
    """
    with open_instance(ground.place.root) as instance:
        for site in sites:
            if busy := at_work(instance, site):
                raise Refused(f"run {busy} seeds at {site.name}", hint="wait for it")
            if found := site.trial.found(contract.record):
                raise Refused(f"{site.name} holds {contract.record.version} already: {found}", hint=_REVISION)
            if _document(site, contract) in ground.store.list_names(site.cloud.spec.asset):
                raise Refused(
                    f"{contract.record.version} was seeded at {site.name}, and is gone from there",
                    hint="see hyops drift; seed it again, or use a revision: hyops rebuild",
                )


def _tried(ground: AcceptanceRun, sites: list[TriedSite], contract: Contract) -> list[Trial]:
    """Try one site after the other. One's failure stops no other; what was made is removed, whatever happens."""
    root, version = ground.place.root, contract.record.version
    with ExitStack() as stack:
        stack.enter_context(shown(ground.place.console))
        live = stack.enter_context(open_instance(root))
        # An instance of its own: what is removed again must not count as seeded in the grids.
        own = stack.enter_context(open_instance(root, root.acceptance_home))
        add_version(own, version)
        graph = Graph(root, own, tags={MODULE_RUN_TAG: ground.run_id, INSTANCE_TAG: INSTANCE})
        return [_try(ground, site, graph, live, contract) for site in sites]


def _try(ground: AcceptanceRun, site: TriedSite, graph: Graph, live: dg.DagsterInstance, contract: Contract) -> Trial:
    trial, ref, begun = Trial(site), StateRef(site.cloud.spec.module, INSTANCE), time.monotonic()
    try:
        ground.states.begin(
            ref, Begun(ground.run_id, "acceptance", str(ground.record.directory)), lab=ground.settings.lab
        )
        trial.ran = graph.seed(site.cloud, site.name, contract.record.version, site.trial.options)
        trial.wrong += _judged(ground, site, trial.ran, contract)
    except HyopsError as error:
        trial.wrong.append(error.message)
    finally:
        trial.seconds = time.monotonic() - begun
        _remove(ground, trial, graph.instance, live, contract)
        for text in (*trial.removed, *trial.wrong):
            typer.echo(ground.redactor.text(f"  {site.name}: {text}"))
    return trial


def _judged(ground: AcceptanceRun, site: TriedSite, ran: Ran, contract: Contract) -> list[str]:
    """Return what of a seed does not hold: that it was made by this run, its lineage, what is read back."""
    said, disk = ran.metadata[site.cloud.spec.asset], contract.record.disk.sha256
    passed, why = ran.checks.get(_LINEAGE, (False, "the check did not run"))
    read_back = not site.trial.reads_back or said["readback_sha256"] == disk
    return [
        *([] if said["outcome"] == "created" else [f"it was {said['outcome']}, not created"]),
        *([] if passed else [f"{_LINEAGE}: {why}"]),
        *([] if read_back else ["the disk was not read back as the record's"]),
        *_broken(ground, site, str(said["ref"]), contract.record),
    ]


def _broken(ground: AcceptanceRun, site: TriedSite, ref: str, record: Record) -> list[str]:
    """Read what was seeded once more at its site, and return what of it is not the record's."""
    seeded = SeededAt(
        site=site.name, ref=ref, version=record.version, record_digest=record.digest, disk_sha256=record.disk.sha256
    )
    place = site.cloud.spec.open(ground.settings).place(site.name)
    links = site_links(site.cloud.spec.noun, seeded, record, lambda: place.audit(ref))
    return [f"{link.name}: {link.found!r}, not {link.expected!r}" for link in links if not link.holds]


def _remove(
    ground: AcceptanceRun, trial: Trial, own: dg.DagsterInstance, live: dg.DagsterInstance, contract: Contract
) -> None:
    """Remove what this run made at a site, and read whether it is gone; `trial.wrong` names what is left."""
    site = trial.site
    made = Made(
        ground.place.root, ground.settings, live, own, ground.run_id, site, contract.record, since=ground.began
    )
    typer.echo(f"  {site.name}: removing what this run made")
    try:
        findings = made.remove()
    except HyopsError as error:
        trial.wrong.append(f"what is left there is unknown: {error.message}; next: {error.hint}")
        return
    trial.removed += [f"removed {finding.what}" for finding in findings if finding.verdict == "removed"]
    trial.wrong += [
        f"{finding.what} is left, and may cost money: {finding.why}; hyops cleanup --apply tries again"
        for finding in findings
        if finding.verdict != "removed"
    ]


def _document(site: TriedSite, contract: Contract) -> str:
    return str(site.cloud.seed(site.name, contract.record.version))
