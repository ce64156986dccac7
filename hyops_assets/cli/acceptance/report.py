"""What an acceptance run prints and keeps: the plan of its dry run, and what became of each site."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from hyops_assets.cli.acceptance.removal import TriedSite
from hyops_assets.cli.graph import Ran, Said
from hyops_assets.contract.evidence import Contract

_NET = "net: the API's price of the server and the snapshot price of the site's settings, without addresses and VAT"


@dataclass
class Trial:
    """What became of one site: what was seeded, what does not hold, what was removed."""

    site: TriedSite
    ran: Ran | None = None
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list[str])
    removed: list[str] = field(default_factory=list[str])

    @property
    def held(self) -> bool:
        """Whether everything held: seeded, audited, removed."""
        return self.ran is not None and not self.wrong

    @property
    def said(self) -> Said:
        """What the seed said of itself; nothing where it failed."""
        return self.ran.metadata.get(self.site.cloud.spec.asset, {}) if self.ran else {}


def print_plan(console: Console, sites: list[TriedSite], contract: Contract | None, *, source: str) -> None:
    """Print the changing calls of a run, in order, and what it costs at most. `source` names the record or the ISO."""
    if contract is None:
        console.print(
            f"build      {source}: build it, pass every gate, publish it; no site is asked, what is published stays",
            soft_wrap=True,
        )
    else:
        console.print(f"record     {contract.record.key} {contract.record.version}, is published")
    for site in sites:
        table = Table(title=f"{site.cloud.name} site {site.name}", title_justify="left")
        for heading in ("call", "path", "why"):
            table.add_column(heading, overflow="fold")
        for call in site.trial.calls(contract):
            table.add_row(call.method, call.path, call.why)
        console.print(table)
    _print_cost(console, sites)
    console.print("nothing was changed; calls that only read and repeated calls are not listed")


def print_report(console: Console, trials: list[Trial], contract: Contract) -> None:
    """Print what was done at each site, with ids, digests, seconds and cost."""
    record = contract.record
    table = Table(title=f"acceptance of {record.key} {record.version}", title_justify="left")
    for heading in ("site", "outcome", "id", "seconds", "disk sha256", "removed", "held"):
        table.add_column(heading, overflow="fold")
    for trial in trials:
        said = trial.said
        table.add_row(
            f"{trial.site.cloud.name} {trial.site.name}",
            str(said.get("outcome", "failed")),
            str(said.get("ref", "")),
            f"{trial.seconds:.1f}",
            str(said.get("readback_sha256") or said.get("disk_sha256") or ""),
            str(len(trial.removed)),
            "yes" if trial.held else "no",
        )
    console.print(table)
    for trial in trials:
        if cost := trial.said.get("cost"):
            console.print(f"cost       {cost} ({_NET})", soft_wrap=True)
        if smoke := trial.said.get("smoke"):
            console.print(f"smoke gate {smoke}")
    _print_cost(console, [trial.site for trial in trials])
    uploaded = ", and the qcow2 on the node's import storage" if any(_keeps_qcow2(trial) for trial in trials) else ""
    console.print(f"left       the published record{uploaded}")


def _keeps_qcow2(trial: Trial) -> bool:
    """Tell whether the site holds the qcow2 that its template was made of; only the template is removed."""
    return trial.ran is not None and trial.site.cloud.spec.takes == "qcow2"


def document_of(run_id: str, recorded_at: str, trials: list[Trial], contract: Contract) -> dict[str, Any]:
    """Return what the run record keeps; `at_most` is what a site may cost, None where it costs nothing."""
    return {
        "run_id": run_id,
        "recorded_at": recorded_at,
        "version": contract.record.version,
        "record_digest": contract.record_digest,
        "disk_sha256": contract.record.disk.sha256,
        "sites": [
            {
                "site": trial.site.name,
                "cloud": trial.site.cloud.name,
                "held": trial.held,
                "at_most": dict(terms.facts) if (terms := trial.site.trial.terms) else None,
                "seconds": round(trial.seconds, 3),
                "said": dict(trial.said),
                "wrong": trial.wrong,
                "removed": trial.removed,
            }
            for trial in trials
        ],
    }


def _print_cost(console: Console, sites: Iterable[TriedSite]) -> None:
    for site in sites:
        if terms := site.trial.terms:
            console.print(f"at most    {terms.eur:.4f} EUR: {terms.said} ({_NET})", soft_wrap=True)
