"""Lineage: from what runs in a cloud back to VyOS' signature, link by link.

What belongs here: walking the chain and naming the first broken link. Nothing is taken from event pointers: links
are digests, read afresh from where each thing lives.
"""

from collections.abc import Iterator

import dagster as dg

from hyops_assets.assets.steps import step
from hyops_assets.checks.links import site_links
from hyops_assets.contract.canonical import canonical_json
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.evidence import Contract, SignedIso
from hyops_assets.contract.record import Record
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.intake.signature import verify
from hyops_assets.seeds.partitions import CLOUDS, Cloud
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.error_border import bordered
from resources.repository.anonymous import read_published
from resources.repository.base import ObjectRepository
from resources.sites.links import Link, read_link
from resources.sites.resource import OpenSites

NAME = "lineage_holds"


class Chain:
    """The links below the cloud: record, ISO, signature."""

    def __init__(
        self, contract: Contract, settings: Settings, store: ArtifactStore, repository: ObjectRepository
    ) -> None:
        self.contract = contract
        self._settings = settings
        self._store = store
        self._repository = repository

    def links(self) -> Iterator[Link]:
        """Yield record, ISO and signature, each read afresh; a link that cannot be read says why."""
        record = self.contract.record
        yield Link("record: its identity hashes to its digest", self.contract.record_digest, record.digest)
        yield self._document_link(record)
        if self.contract.registered:
            yield Link("ISO: the record was registered, and is vouched for by its publisher", "none", "none")
            return
        if record.iso_sha256 is None:
            yield Link("ISO: the record was built elsewhere, and is vouched for by its gates alone", "none", "none")
            return
        iso = self._store.find_document("iso", record.record_version.release, SignedIso)
        if iso is None:
            yield Link("ISO: taken in by us", record.iso_sha256, "no such ISO in the artifact store")
            return
        yield Link("ISO: the record was built from it", record.iso_sha256, iso.sha256)
        yield read_link("ISO: its bytes are as we took them in", iso.sha256, lambda: self._store.blob(iso.sha256).name)
        yield read_link("signature: a trusted key signed these bytes", iso.signature.key_id, lambda: self._key_of(iso))

    def _document_link(self, record: Record) -> Link:
        url = self.contract.record_url
        if not url:
            return Link("record: it was registered file by file, without a document", "none", "none")
        expected = sha256_of_bytes(canonical_json(record) + b"\n")
        return read_link(
            "record: the published document is this record", expected, lambda: read_published(url, self._repository)[0]
        )

    def _key_of(self, iso: SignedIso) -> str:
        path = self._store.blob_path(iso.sha256)
        facts = verify(
            path,
            iso.signature.minisig,
            self._settings.trusted_keys,
            file_name=iso.file_name,
            most_bytes=self._settings.feed.max_iso_bytes,
        )
        return facts.key_id


def _result(links: Iterator[Link]) -> dg.AssetCheckResult:
    """Walk the chain to its end or to the first broken link, and name that one."""
    walked: list[Link] = []
    for link in links:
        walked.append(link)
        if not link.holds:
            break
    broken = [link for link in walked if not link.holds]
    rows = [
        dg.TableRecord({"link": link.name, "expected": link.expected, "found": link.found, "holds": link.holds})
        for link in walked
    ]
    return dg.AssetCheckResult(
        passed=not broken,
        description=f"broken link: {broken[0].name}" if broken else "from the cloud back to the signature",
        metadata={"chain": dg.MetadataValue.table(rows)},
    )


def lineage_check(cloud: Cloud) -> dg.AssetChecksDefinition:
    """Return the check of a cloud's seeds, cell by cell."""
    spec = cloud.spec

    @dg.asset_check(
        asset=cloud.asset,
        name=NAME,
        description=f"The {spec.word} at the site, asked afresh, carries the disk of the record that was built from "
        "the ISO that VyOS signed.",
        partitions_def=cloud.seeds,
        additional_ins={"published_contract": dg.AssetIn("published_contract")},
        config_schema={},
    )
    @bordered
    def lineage_holds(
        context: dg.AssetCheckExecutionContext,
        seeded: SeededAt,
        published_contract: Contract,
        settings: dg.ResourceParam[Settings],
        store: dg.ResourceParam[ArtifactStore],
        repository: dg.ResourceParam[ObjectRepository],
        sites: dg.ResourceParam[OpenSites],
    ) -> dg.AssetCheckResult:
        contract = published_contract

        def links() -> Iterator[Link]:
            # Asked inside the chain: a site without its secret, or that is not configured now, is a broken link.
            places = sites[cloud.name]
            yield from site_links(
                spec.noun, seeded, contract.record, lambda: places.place(seeded.site).audit(seeded.ref)
            )
            yield from Chain(contract, settings, store, repository).links()

        with step(context, f"{spec.word} {NAME}"):
            return _result(links())

    return lineage_holds


CHECKS = {cloud.name: lineage_check(cloud) for cloud in CLOUDS}
"""The checks, by the name of the cloud whose seeds they follow."""
