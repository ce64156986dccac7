"""Sweeping a node: half-made templates and smoke clones that any dead run left, found by their own lineage.

A name, a tag, a copied description prove nothing: a machine is ours where the lineage in it names its own VMID. What
a token cannot remove, or that cannot be proven to be ours, is named with what a person may run on the node.
"""

import re
from collections.abc import Callable, Iterator

from hyops_assets.contract.ownership import owner_of
from hyops_assets.contract.upkeep import Finding, IsLive, Verdict, judge_age
from resources.sites.cleanup import Judged, Removal
from resources.sites.proxmox.answers import MachineSummary
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import destroyed_by_hand, leftovers_gone
from resources.sites.proxmox.facts import TemplateFacts, audit, read_machines, visible_volumes
from resources.sites.proxmox.lineage import OUR_TAG
from resources.sites.proxmox.removal import is_gone, remove

_OWNED = re.compile(r"(?:^|[/:])(?:vm|base)-(?P<vmid>\d+)-(?:disk|cloudinit)[^/]*$")
_SMOKE_NAME = re.compile(r"smoke-\d+")
"""HybridOps' seed script names its smoke machines so, and ours does."""


def judge_machine(
    facts: TemplateFacts,
    *,
    environment: str | None,
    now: float,
    is_live: IsLive,
    at_work: str | None,
    tasks: frozenset[int],
) -> tuple[Verdict, str] | None:
    """Decide about a machine, and say why; None where it is no matter of ours.

    Args:
        facts: as the node reported them.
        environment: the id of the one that sweeps; None where it has none.
        now: epoch seconds.
        is_live: of the run that the lineage names.
        at_work: a live run that seeds at this site: it may have taken over what an earlier one began.
        tasks: VMIDs that a worker of this token is busy with.
    """
    if facts.vmid in tasks:
        return "keep", "a worker of the node is busy with it"
    lineage = facts.lineage
    if lineage is None or lineage.vmid != facts.vmid:
        return _of_unknown_origin(facts)
    if lineage.smoke_of is None and lineage.state == "ready":
        return None
    live = is_live(lineage.run_id)
    owner = owner_of(lineage.claim, environment, proven=live is not None)
    if owner.whose == "another's":
        return "keep", owner.why
    if at_work is not None:
        return "keep", f"run {at_work} seeds at this site"
    if not owner.ours:
        return "by hand", f"{owner.why}: qm config {facts.vmid}"
    if facts.lock is not None:
        return "by hand", f"it is locked ({facts.lock}), which a token may not lift: qm unlock {facts.vmid}"
    if lineage.smoke_of is not None and (facts.template or facts.name != f"smoke-{facts.vmid}"):
        return "by hand", f"it carries a smoke clone's lineage, and is not what one is: qm config {facts.vmid}"
    return judge_age(lineage.run_id, lineage.expires, now=now, is_live=lambda _: live)


def _of_unknown_origin(facts: TemplateFacts) -> tuple[Verdict, str] | None:
    if facts.lock == "create" and facts.volid is None:
        # While it is being created a machine has neither name nor description: whose it is cannot be known.
        return "by hand", f"half created, and no worker: {leftovers_gone(facts.vmid)}"
    if _SMOKE_NAME.fullmatch(facts.name or ""):
        return "by hand", (
            f"named as HybridOps' smoke machines, and not provably ours: qm config {facts.vmid}, then"
            f" qm stop {facts.vmid}; {destroyed_by_hand(facts.vmid)}"
        )
    return None


class Sweep:
    """One look at one site's node.

    Args:
        client: of the site.
        where: the site's name.
        environment: the id of the one that sweeps; None where it has none.
        is_live: of the runs that lineages name.
        at_work: returns the id of a live run that seeds at this site; None where there is none.
        clock: epoch seconds.
    """

    def __init__(
        self,
        client: ProxmoxClient,
        where: str,
        *,
        environment: str | None,
        is_live: IsLive,
        at_work: Callable[[], str | None],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._where = where
        self._environment = environment
        self._is_live = is_live
        self._at_work = at_work
        self._clock = clock
        self._machines = Removal(
            self._looked_at, self._again, self._remove, lambda facts: is_gone(self._client, facts.vmid)
        )

    def find(self) -> list[Finding]:
        """Return a finding for every machine and volume that is, or may be, a leftover. Nothing is changed."""
        return [*self._machines.find(), *self._volumes()]

    def reap(self) -> list[Finding]:
        """Remove the leftovers, clones before what they were cloned from, and return what became of each.

        One that cannot be removed stops no other.
        """
        return [*self._machines.reap(), *self._volumes()]

    def _volumes(self) -> Iterator[Finding]:
        """Yield the volumes of the range that belong to no machine; whose they are, nothing says.

        They are left where a machine that was killed under creation was destroyed without them, and are in the way of
        the next one of that VMID. The list of volumes is made first: one that belongs to a machine has it by then.
        """
        (low, high), storage = self._client.site.vmid_range, self._client.site.storage
        volumes = visible_volumes(self._client, storage)
        known = {machine.vmid for machine in self._client.list_machines()}
        for volume in volumes:
            match = _OWNED.search(volume.volid)
            vmid = int(match["vmid"]) if match else 0
            # A machine that the token may not see has volumes too.
            if low <= vmid <= high and vmid not in known and self._client.is_free(vmid):
                why = f"VMID {vmid}, which it is named after, is no machine: pvesm free {volume.volid}"
                yield Finding(f"volume {volume.volid}", self._where, "by hand", why)

    def _looked_at(self) -> list[Judged[TemplateFacts]]:
        low, high = self._client.site.vmid_range

        def concerns(machine: MachineSummary) -> bool:
            named = _SMOKE_NAME.fullmatch(machine.name or "") is not None
            return named or low <= machine.vmid <= high or OUR_TAG in machine.tag_set

        judged = ((facts, self._judged(facts)) for facts in read_machines(self._client, concerns))
        found = [(facts, finding) for facts, finding in judged if finding is not None]
        return sorted(found, key=lambda entry: not _is_clone(entry[0]))

    def _again(self, facts: TemplateFacts, finding: Finding) -> Judged[TemplateFacts]:
        now = audit(self._client, facts.vmid)
        return now, self._judged(now) or finding.turned("keep", "it was finished meanwhile")

    def _remove(self, facts: TemplateFacts, finding: Finding) -> Finding:
        return remove(self._client, facts, finding)

    def _judged(self, facts: TemplateFacts) -> Finding | None:
        tasks = self._client.list_tasks(source="active")
        judged = judge_machine(
            facts,
            environment=self._environment,
            now=self._clock(),
            is_live=self._is_live,
            at_work=self._at_work(),
            tasks=frozenset(int(task.id) for task in tasks if task.id.isdecimal()),
        )
        if judged is None:
            return None
        kind = "smoke clone" if _is_clone(facts) else "unfinished template" if facts.lineage else "machine"
        return Finding(f"{kind} {facts.name or 'without a name'} ({facts.vmid})", self._where, *judged)


def _is_clone(facts: TemplateFacts) -> bool:
    return facts.lineage is not None and facts.lineage.smoke_of is not None
