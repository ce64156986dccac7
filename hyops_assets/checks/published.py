"""Audit of what was published: read anonymously, as anyone reads it."""

import dagster as dg

from hyops_assets.assets.published_contract import published_contract
from hyops_assets.assets.register_record import read_in
from hyops_assets.assets.steps import step
from hyops_assets.contract.canonical import canonical_json
from hyops_assets.contract.evidence import Contract
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.seeds.partitions import VERSIONS
from resources.artifacts.store import ArtifactStore
from resources.error_border import bordered
from resources.repository.anonymous import read_published
from resources.repository.base import ObjectRepository, ReadBack

CONTRACT = published_contract.key


def promises(contract: Contract) -> dict[str, ReadBack]:
    """Return what a contract promises under each of its URLs: digest and size."""
    record = contract.record
    promised = {
        contract.urls[format_]: ReadBack(variant.sha256, variant.size_bytes)
        for format_, variant in record.variants.items()
    }
    if contract.record_url:
        document = canonical_json(record) + b"\n"
        promised[contract.record_url] = ReadBack(sha256_of_bytes(document), len(document))
    return promised


@dg.asset_check(asset=published_contract, blocking=True, partitions_def=VERSIONS, config_schema={})
@bordered
def anonymous_read_back(
    context: dg.AssetCheckExecutionContext,
    published_contract: Contract,
    store: dg.ResourceParam[ArtifactStore],
    repository: dg.ResourceParam[ObjectRepository],
) -> dg.AssetCheckResult:
    """Anyone can read the record and its variants under the contract's URLs, and they are the promised bytes.

    What was registered in this very run was read in it: it is not downloaded a second time.
    """
    promised = {url: one.sha256 for url, one in promises(published_contract).items()}
    with step(context, "anonymous_read_back") as progress:
        found = read_in(context.run.run_id, published_contract, store) if published_contract.registered else None
        if found is None:
            found = {url: read_published(url, repository, progress=progress) for url in promised}
        progress.ended("read", sum(size for _, size in found.values()))
    return dg.AssetCheckResult(
        passed=all(found[url][0] == sha256 for url, sha256 in promised.items()),
        metadata={
            "read": dg.MetadataValue.json({url: {"sha256": sha, "bytes": size} for url, (sha, size) in found.items()}),
            "record_digest": published_contract.record_digest,
        },
    )
