"""Drift: whether what was seeded and published still stands as it was left. Reads only.

What belongs here: what is expected (the documents that seeds and publications left), what is found (one listing per
site, the head of each object), and where they differ. The checks have no partition: one result tells of the grid.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import dagster as dg

from hyops_assets.checks.links import site_links
from hyops_assets.checks.published import promises
from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.quantity import quantity
from hyops_assets.contract.references import IMAGE_BUILD
from hyops_assets.contract.steps import timed
from hyops_assets.seeds.partitions import CLOUDS, Cloud
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.error_border import bordered, said_of
from resources.repository.anonymous import read_published
from resources.repository.base import ObjectRepository
from resources.repository.heads import head_published
from resources.secrets import MissingSecret
from resources.sites.base import Audited, CloudSpec, Place, Places
from resources.sites.links import Link
from resources.sites.resource import OpenSites

CHECK = "stands_as_it_was_left"
PUBLISHED = dg.AssetKey("published_contract")
SEEN = "published_objects_seen"
"""The kind of document that remembers each object's validator, and when its bytes were last read whole."""

MOST_HASHES = 4
"""Objects that one look reads whole because their time has come; those that changed are read besides."""


@dataclass(frozen=True)
class Drift:
    """One difference: where, of what, both sides, and what to do about it.

    With `others` it is none: another environment left it there.
    """

    where: str
    what: str
    expected: str
    found: str
    mend: str
    others: bool = False


class SeenObject(Frozen):
    """An object as it was last read whole: its validator then, its digest, and when (epoch seconds)."""

    validator: str
    sha256: str
    read_at: int


class SeenObjects(Frozen):
    """The objects of one version, by URL."""

    objects: dict[str, SeenObject]


def drift_at(cloud: Cloud, settings: Settings, store: ArtifactStore, places: Places) -> Iterator[Drift]:
    """Yield what differs at each site of a cloud from what its seeds left. Sites are named with their cloud.

    Two clouds may have a site of one name.
    """
    kind = cloud.asset.to_user_string()
    documents = (store.find_document(kind, name, SeededAt) for name in store.list_names(kind))
    expected = [one for one in documents if one is not None]
    found: list[Drift] = []
    for name in cloud.sites(settings):
        here = [one for one in expected if one.site == name]
        try:
            with timed(f"{cloud.name}/{name}"):
                found += site_drift(cloud.spec, name, places.place(name), here, store, settings.environment_id)
        except HyopsError as error:
            unset = isinstance(error, MissingSecret)
            ask = error.hint if unset else f"see whether the site answers: hyops preflight --target {cloud.name}"
            found.append(Drift(name, "the whole site", "can be read", said_of(error), ask))
    for site in sorted({one.site for one in expected} - cloud.sites(settings).keys()):
        what = "not in pipeline.yml: it is not looked at"
        again = f"add the site to pipeline.yml again, or forget it: hyops forget {cloud.name}/{site}"
        found.append(Drift(site, "the whole site", "a configured site", what, again))
    return (replace(one, where=f"{cloud.name}/{one.where}") for one in found)


def site_drift(
    spec: CloudSpec, where: str, place: Place, expected: list[SeededAt], store: ArtifactStore, environment: str | None
) -> Iterator[Drift]:
    """Yield what differs at one site: missing, changed, unprotected, extra, more than one of a record."""
    there = place.list({one.ref for one in expected})

    def audit(ref: str) -> Audited:
        if ref not in there:
            raise spec.missing(ref)
        return there[ref]

    for one in expected:
        contract = store.find_document(PUBLISHED.to_user_string(), one.version, Contract)
        if contract is None:
            lost = f"have {one.version} here again: hyops apply --module {IMAGE_BUILD}"
            yield Drift(where, f"{spec.noun} {one.ref}", f"the contract of {one.version}", "no such document", lost)
            continue
        again = (
            f"seed what is missing or changed: hyops seed --cloud {spec.name} --site {where} --version {one.version}"
        )
        yield from _broken(where, again, site_links(spec.noun, one, contract.record, lambda one=one: audit(one.ref)))
        # Another environment's is protected, or not, as that one's settings say.
        theirs = one.environment not in (None, environment)
        if not theirs and one.ref in there and there[one.ref].unprotected:
            what = f"{spec.noun} {one.ref}: protection against deletion"
            yield Drift(where, what, "protected", "not protected", f"protect {spec.noun} {one.ref} there again")
    ready = {ref: found.ready for ref, found in there.items() if found.ready is not None}
    yield from _strays(where, spec.noun, ready, expected, environment)


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
        seen = store.find_document(SEEN, version, SeenObjects) or SeenObjects(objects={})
        objects = dict(seen.objects)
        anew = f"find who may write there, and publish a revision: hyops rebuild {version} --reason '<why>'"
        for url, promised in promises(contract).items():
            try:
                head, known = head_published(url), objects.get(url)
                if head.size_bytes not in (None, promised.size_bytes):
                    yield Drift(version, f"size of {url}", str(promised.size_bytes), str(head.size_bytes), anew)
                changed = known is not None and known.validator != head.validator
                due = known is None or known.read_at < due_before
                if changed or (due and hashes > 0):
                    hashes -= 0 if changed else 1
                    sha256 = read_published(url, repository).sha256
                    objects[url] = known = SeenObject(validator=head.validator, sha256=sha256, read_at=int(now))
                if known is not None and known.sha256 != promised.sha256:
                    yield Drift(version, f"sha256 of {url}", promised.sha256, known.sha256, anew)
            except HyopsError as error:
                yield Drift(version, url, "anyone can read it", said_of(error), f"see that {url} is there for anyone")
        if objects != seen.objects:
            store.write_document(SEEN, version, SeenObjects(objects=objects))


def anything_left(store: ArtifactStore) -> bool:
    """Say whether this environment published or seeded anything: else there is nothing that could stand."""
    kinds = [PUBLISHED.to_user_string(), *(cloud.asset.to_user_string() for cloud in CLOUDS)]
    return any(store.list_names(kind) for kind in kinds)


def _broken(where: str, mend: str, links: Iterable[Link]) -> Iterator[Drift]:
    return (
        Drift(where, link.name.removeprefix(f"{where}: "), link.expected, link.found, mend)
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
        mend = (
            f"find out whose {kind} {ref} is, and leave it until then"
            if said is None
            else f"hyops seed adopts it where it holds a current record; else remove {kind} {ref} there by hand"
        )
        yield Drift(where, f"{kind} {ref}", "left by a seed of this environment", found, mend, others=ref in theirs)
    ours = {ref: digest for ref, (digest, _) in ready.items() if ref not in theirs}
    for digest, count in sorted(Counter(ours.values()).items()):
        if count > 1:
            refs = ", ".join(sorted(ref for ref, of in ours.items() if of == digest))
            one_too_many = f"see which of {refs} this environment made; one of them is enough"
            yield Drift(where, f"record {digest}", f"one ready {kind}", f"{count}: {refs}", one_too_many)


def _result(found: list[Drift]) -> dg.AssetCheckResult:
    differing, others = [one for one in found if not one.others], [one for one in found if one.others]
    return dg.AssetCheckResult(
        passed=not differing,
        description=quantity(len(differing), "difference") if differing else "everything stands as it was left",
        metadata={"drift": _table(differing)} | ({"of other environments": _table(others)} if others else {}),
    )


def _table(found: list[Drift]) -> dg.TableMetadataValue:
    rows = [
        dg.TableRecord({"where": one.where, "what": one.what, "expected": one.expected, "found": one.found})
        for one in found
    ]
    return dg.MetadataValue.table(rows, schema=_SCHEMA)


_SCHEMA = dg.TableSchema([dg.TableColumn(name) for name in ("where", "what", "expected", "found")])


def _site_check(cloud: Cloud) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=cloud.asset, name=CHECK, description=cloud.spec.stands, config_schema={})
    @bordered
    def stands_as_it_was_left(
        settings: dg.ResourceParam[Settings],
        store: dg.ResourceParam[ArtifactStore],
        sites: dg.ResourceParam[OpenSites],
    ) -> dg.AssetCheckResult:
        return _result(list(drift_at(cloud, settings, store, sites[cloud.name])))

    return stands_as_it_was_left


@dg.asset_check(asset=PUBLISHED, name=CHECK, config_schema={})
@bordered
def objects_stand(
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    repository: dg.ResourceParam[ObjectRepository],
) -> dg.AssetCheckResult:
    """Every published object is there for anyone, of its size, unchanged; now and then each is read whole."""
    return _result(list(drift_of_published(settings, store, repository, now=time.time())))


CHECKS = [*(_site_check(cloud) for cloud in CLOUDS), objects_stand]
