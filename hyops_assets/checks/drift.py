"""Drift: whether what was seeded and published still stands as it was left. Reads only.

What belongs here: what is expected (the documents that seeds and publications left), what is found (one listing per
site, the head of each object), and where they differ. The checks have no partition: one result tells of the grid.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import dagster as dg

from hyops_assets.checks.links import Link, image_links, template_links
from hyops_assets.checks.published import promises
from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import Contract
from hyops_assets.partitions import HETZNER, PROXMOX, Cloud
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.border import bordered, said_of
from resources.repository.anonymous import read_published
from resources.repository.base import ObjectRepository
from resources.repository.heads import head_published
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.errors import MissingImage
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.report import ImageFacts
from resources.sites.hetzner.resource import HetznerProjects
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import NoSuchObject
from resources.sites.proxmox.facts import MachineReader, TemplateFacts
from resources.sites.proxmox.preflight import require_readable
from resources.sites.proxmox.resource import ProxmoxSeeders

CHECK = "stands_as_it_was_left"
PUBLISHED = dg.AssetKey("published_contract")
SEEN = "published_objects_seen"
"""The kind of document that remembers each object's validator, and when its bytes were last read whole."""

MOST_HASHES = 4
"""Objects that one look reads whole because their time has come; those that changed are read besides."""


@dataclass(frozen=True)
class Drift:
    """One difference: where, of what, and both sides. With `others` it is none: another environment left it there."""

    where: str
    what: str
    expected: str
    found: str
    others: bool = False


class SeenObject(Frozen):
    """An object as it was last read whole: its validator then, its digest, and when (epoch seconds)."""

    validator: str
    sha256: str
    read_at: int


class Seen(Frozen):
    """The objects of one version, by URL."""

    objects: dict[str, SeenObject]


def drift_at_hetzner(settings: Settings, store: ArtifactStore, hetzner: HetznerProjects) -> Iterator[Drift]:
    """Return what differs at each Hetzner site from what its seeds left; one listing per site."""
    return _of_cloud(HETZNER, _at_hetzner(settings, store, hetzner))


def _at_hetzner(settings: Settings, store: ArtifactStore, hetzner: HetznerProjects) -> Iterator[Drift]:
    expected = _seeded(store, HETZNER)
    for name, site in settings.sites.hetzner.items():
        here = [one for one in expected if one.site == name]
        try:
            yield from project_drift(
                name, hetzner.client(name), here, store, environment=settings.environment_id, protect=site.protect
            )
        except HyopsError as error:
            yield _unreadable(name, error)
    yield from _unconfigured(expected, settings.sites.hetzner)


def project_drift(
    where: str,
    client: HetznerClient,
    expected: list[SeededAt],
    store: ArtifactStore,
    *,
    environment: str | None,
    protect: bool,
) -> Iterator[Drift]:
    """Yield what differs in one project: missing, changed, unprotected, extra, more than one of a record."""
    snapshots = {str(snapshot.id): snapshot for snapshot in client.list_snapshots()}
    for one in expected:
        contract = store.find_document(PUBLISHED.to_user_string(), one.version, Contract)
        if contract is None:
            yield Drift(where, f"snapshot {one.ref}", f"the contract of {one.version}", "no such document")
            continue
        yield from _broken(where, image_links(one, contract.record, lambda one=one: _image(snapshots, one.ref)))
        # Another environment's is protected, or not, as that one's settings say.
        theirs = one.environment not in (None, environment)
        if protect and not theirs and one.ref in snapshots and not snapshots[one.ref].protected:
            yield Drift(where, f"snapshot {one.ref}: protection against deletion", "protected", "not protected")
    ready = {
        ref: (labels.record_digest, labels.environment)
        for ref, snapshot in snapshots.items()
        if (labels := Labels.parse(snapshot.labels)) is not None and (labels.role, labels.state) == ("image", "ready")
    }
    yield from _strays(where, "snapshot", ready, expected, environment)


def drift_at_proxmox(settings: Settings, store: ArtifactStore, proxmox: ProxmoxSeeders) -> Iterator[Drift]:
    """Return what differs at each Proxmox site from what its seeds left."""
    return _of_cloud(PROXMOX, _at_proxmox(settings, store, proxmox))


def _at_proxmox(settings: Settings, store: ArtifactStore, proxmox: ProxmoxSeeders) -> Iterator[Drift]:
    expected = _seeded(store, PROXMOX)
    for name in settings.sites.proxmox:
        here = [one for one in expected if one.site == name]
        try:
            yield from node_drift(name, proxmox.seeder(name).client, here, store, environment=settings.environment_id)
        except HyopsError as error:
            yield _unreadable(name, error)
    yield from _unconfigured(expected, settings.sites.proxmox)


def _of_cloud(cloud: Cloud, found: Iterable[Drift]) -> Iterator[Drift]:
    """Name each site with its cloud: two clouds may have a site of one name."""
    return (replace(one, where=f"{cloud.name}/{one.where}") for one in found)


def node_drift(
    where: str, client: ProxmoxClient, expected: list[SeededAt], store: ArtifactStore, *, environment: str | None
) -> Iterator[Drift]:
    """Yield what differs on one node: missing, changed, extra, more than one of a record."""
    require_readable(client)
    reader, templates = MachineReader(client), dict[str, TemplateFacts]()
    wanted = {one.ref for one in expected}
    # The node's own list: the cluster's learns of a template late, or never.
    places = {machine.vmid: machine.node for machine in client.list_machines() if str(machine.vmid) in wanted}
    places |= {machine.vmid: client.site.node for machine in client.list_node_machines() if machine.template}
    for vmid, node in places.items():
        with suppress(NoSuchObject):
            templates[str(vmid)] = reader.read(vmid, node)
    for one in expected:
        contract = store.find_document(PUBLISHED.to_user_string(), one.version, Contract)
        if contract is None:
            yield Drift(where, f"VMID {one.ref}", f"the contract of {one.version}", "no such document")
            continue
        yield from _broken(where, template_links(one, contract.record, lambda one=one: _template(templates, one.ref)))
    ready = {
        ref: (facts.own_lineage.record_digest, facts.own_lineage.environment)
        for ref, facts in templates.items()
        if facts.template and facts.own_lineage is not None and facts.own_lineage.state == "ready"
    }
    yield from _strays(where, "VMID", ready, expected, environment)


def drift_of_published(
    settings: Settings, store: ArtifactStore, repository: ObjectRepository, *, now: float
) -> Iterator[Drift]:
    """Yield what differs under the URLs of each contract: the head of each object, and now and then its bytes."""
    due_before = now - settings.upkeep.full_hash_days * 86400
    hashes = MOST_HASHES
    for version in store.list_names(PUBLISHED.to_user_string()):
        contract = store.find_document(PUBLISHED.to_user_string(), version, Contract)
        if contract is None:
            continue
        seen = store.find_document(SEEN, version, Seen) or Seen(objects={})
        objects = dict(seen.objects)
        for url, promised in promises(contract).items():
            try:
                head, known = head_published(url), objects.get(url)
                if head.size_bytes not in (None, promised.size_bytes):
                    yield Drift(version, f"size of {url}", str(promised.size_bytes), str(head.size_bytes))
                changed = known is not None and known.validator != head.validator
                due = known is None or known.read_at < due_before
                if changed or (due and hashes > 0):
                    hashes -= 0 if changed else 1
                    sha256 = read_published(url, repository).sha256
                    objects[url] = known = SeenObject(validator=head.validator, sha256=sha256, read_at=int(now))
                if known is not None and known.sha256 != promised.sha256:
                    yield Drift(version, f"sha256 of {url}", promised.sha256, known.sha256)
            except HyopsError as error:
                yield Drift(version, url, "anyone can read it", said_of(error))
        if objects != seen.objects:
            store.write_document(SEEN, version, Seen(objects=objects))


def _seeded(store: ArtifactStore, cloud: Cloud) -> list[SeededAt]:
    kind = cloud.asset.to_user_string()
    found = (store.find_document(kind, name, SeededAt) for name in store.list_names(kind))
    return [one for one in found if one is not None]


def _broken(where: str, links: Iterable[Link]) -> Iterator[Drift]:
    return (
        Drift(where, link.name.removeprefix(f"{where}: "), link.expected, link.found)
        for link in links
        if not link.holds
    )


def _strays(
    where: str,
    kind: str,
    ready: Mapping[str, tuple[str, str | None]],
    expected: list[SeededAt],
    environment: str | None,
) -> Iterator[Drift]:
    """Yield what says it is ready and is not expected here, and records that stand there more than once.

    Args:
        where: the site's name.
        kind: what is counted there.
        ready: the record's digest, and the environment that it names, of what is ready, by id.
        expected: what the documents of this environment say of the site.
        environment: its id; None where it has none.
    """
    known = {one.ref for one in expected}
    theirs = {ref for ref, (_, said) in ready.items() if said not in (None, environment)}
    for ref in sorted(ready.keys() - known):
        digest, said = ready[ref]
        whose = f"; belongs to environment {said}" if ref in theirs else "" if said else "; it names no environment"
        found = f"ready, of record {digest}{whose}"
        yield Drift(where, f"{kind} {ref}", "left by a seed of this environment", found, others=ref in theirs)
    ours = {ref: digest for ref, (digest, _) in ready.items() if ref not in theirs}
    for digest, count in sorted(Counter(ours.values()).items()):
        if count > 1:
            refs = ", ".join(sorted(ref for ref, of in ours.items() if of == digest))
            yield Drift(where, f"record {digest}", f"one ready {kind}", f"{count}: {refs}")


def _image(snapshots: Mapping[str, Snapshot], ref: str) -> ImageFacts:
    if ref not in snapshots:
        raise MissingImage(f"the project has no snapshot {ref!r}", hint="seed the record again; it was deleted")
    return ImageFacts.of(snapshots[ref])


def _template(templates: Mapping[str, TemplateFacts], ref: str) -> TemplateFacts:
    if ref not in templates:
        raise NoSuchObject(f"VMID {ref}", 500, "there is none", hint="seed the record again; it was destroyed")
    return templates[ref]


def _unreadable(site: str, error: HyopsError) -> Drift:
    return Drift(site, "the whole site", "can be read", said_of(error))


def _unconfigured(expected: list[SeededAt], configured: Mapping[str, object]) -> Iterator[Drift]:
    for site in sorted({one.site for one in expected} - configured.keys()):
        yield Drift(site, "the whole site", "a configured site", "not in pipeline.yml: nobody looks there")


def _result(found: list[Drift]) -> dg.AssetCheckResult:
    differing, others = [one for one in found if not one.others], [one for one in found if one.others]
    return dg.AssetCheckResult(
        passed=not differing,
        description=f"{len(differing)} differences" if differing else "everything stands as it was left",
        metadata={"drift": _table(differing)} | ({"of other environments": _table(others)} if others else {}),
    )


def _table(found: list[Drift]) -> dg.TableMetadataValue:
    rows = [
        dg.TableRecord({"where": one.where, "what": one.what, "expected": one.expected, "found": one.found})
        for one in found
    ]
    return dg.MetadataValue.table(rows, schema=_SCHEMA)


_SCHEMA = dg.TableSchema([dg.TableColumn(name) for name in ("where", "what", "expected", "found")])


@dg.asset_check(asset=PROXMOX.asset, name=CHECK, config_schema={})
@bordered
def templates_stand(
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    proxmox: dg.ResourceParam[ProxmoxSeeders],
) -> dg.AssetCheckResult:
    """Every template that a seed left is there, unchanged, and the only one of its record."""
    return _result(list(drift_at_proxmox(settings, store, proxmox)))


@dg.asset_check(asset=HETZNER.asset, name=CHECK, config_schema={})
@bordered
def images_stand(
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    hetzner: dg.ResourceParam[HetznerProjects],
) -> dg.AssetCheckResult:
    """Every snapshot that a seed left is there, unchanged, protected where the site protects, and the only one."""
    return _result(list(drift_at_hetzner(settings, store, hetzner)))


@dg.asset_check(asset=PUBLISHED, name=CHECK, config_schema={})
@bordered
def objects_stand(
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    repository: dg.ResourceParam[ObjectRepository],
) -> dg.AssetCheckResult:
    """Every published object is there for anyone, of its size, unchanged; now and then each is read whole."""
    return _result(list(drift_of_published(settings, store, repository, now=time.time())))


CHECKS = [templates_stand, images_stand, objects_stand]
