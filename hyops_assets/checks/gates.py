"""The gates of a record: blocking checks, before anything is uploaded.

What belongs here: one check per question about the built bytes. A gate that passed for the same bytes before is
adopted and says so. Audits of what was already published or seeded stand in `lineage.py` and `published.py`.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import JsonValue

from hyops_assets.assets.records import qcow2_record, raw_xz_record
from hyops_assets.assets.steps import step
from hyops_assets.contract.documents import BuiltRecord, CandidateRecord
from hyops_assets.contract.evidence import GateResult
from hyops_assets.contract.record import FORMATS
from hyops_assets.gate_results import examined, gate, passed_before
from hyops_assets.image.boot.together import Paused, together
from hyops_assets.image.boot.verdict import Firmware
from hyops_assets.image.inspection import questions
from hyops_assets.image.variants import qcow2
from hyops_assets.image.variants.decoded import decoded_disks
from hyops_assets.seeds.partitions import VERSIONS
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.boot import BootGate
from resources.error_border import bordered

QCOW2 = qcow2_record.key
RAW_XZ = raw_xz_record.key


def _result(result: GateResult, asset: dg.AssetKey, check: str | None = None) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=asset,
        check_name=check,
        metadata={"subject_sha256": result.subject_sha256, **{k: _metadata(v) for k, v in result.detail.items()}},
    )


def _metadata(value: JsonValue) -> dg.MetadataValue:
    if isinstance(value, dict | list):
        return dg.MetadataValue.json(value)
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return dg.MetadataValue.float(value)
    return dg.MetadataValue.text(str(value))


@dg.multi_asset_check(
    name="disk_inspection",
    specs=[
        dg.AssetCheckSpec(name, asset=qcow2_record, description=question, blocking=True, partitions_def=VERSIONS)
        for name, question in questions.QUESTIONS.items()
    ],
)
@bordered
def disk_inspection(
    context: dg.AssetCheckExecutionContext,
    qcow2_record: BuiltRecord,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
) -> Iterator[dg.AssetCheckResult]:
    """Look into the disk without mounting it: every question about its effective files has a check of its own."""
    built = qcow2_record
    findings: dict[str, questions.DiskFinding] = {}

    def examine(name: str) -> tuple[bool, dict[str, JsonValue]]:
        if not findings:
            with store.scratch("inspection") as scratch:
                disk, container = scratch / "disk.raw", store.blob(built.qcow2.sha256)
                qcow2.decode(container, disk)
                found = questions.inspect(disk, _expected(built, settings), scratch, container=container)
                findings.update({finding.name: finding for finding in found})
        finding = findings[name]
        # Of a disk that was built elsewhere only the digest was promised.
        passed = finding.passed or (built.iso is None and finding.outcome == "not compared")
        return passed, {"found": finding.detail}

    with step(context, "disk_inspection") as progress:
        results = [gate(store, name, built.qcow2.sha256, lambda n=name: examine(n)) for name in questions.QUESTIONS]
        progress.ended("inspected" if findings else "adopted", 0)
    for result in results:
        yield _result(result, QCOW2, result.name)


def _expected(built: BuiltRecord, settings: Settings) -> questions.Expected:
    return questions.Expected(
        release=built.release,
        squashfs_sha256=built.squashfs_sha256,
        helper_sha256=built.helper_sha256,
        console=settings.build.console,
        console_speed=settings.build.console_speed,
        disk=built.disk,
    )


FIRMWARES: dict[str, Firmware] = {"boots_bios": "bios", "boots_uefi": "uefi"}


@dg.multi_asset_check(
    # Sorted after disk_inspection, which takes seconds: Dagster runs what is ready in the order of the names.
    name="qcow2_record_boots",
    specs=[
        dg.AssetCheckSpec(
            name,
            asset=qcow2_record,
            blocking=True,
            partitions_def=VERSIONS,
            description=(
                f"The qcow2 boots under {firmware.upper()} to the end of cloud-init, from its own overlay: a random "
                "nonce went in on a NoCloud disk, its proof came out on the serial console."
            ),
        )
        for name, firmware in FIRMWARES.items()
    ],
    can_subset=True,
    config_schema={},
)
@bordered
def boots(
    context: dg.AssetCheckExecutionContext,
    qcow2_record: BuiltRecord,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    boot_gate: dg.ResourceParam[BootGate],
) -> Iterator[dg.AssetCheckResult]:
    """Boot the disk under both firmwares, side by side where the host lets two guests run."""
    built = qcow2_record

    def boot(name: str) -> Paused[GateResult]:
        with step(context, name) as progress:
            if adopted := passed_before(store, name, built.qcow2.sha256):
                progress.ended("adopted", built.qcow2.size_bytes)
                return adopted
            with store.scratch(name) as scratch:
                found = yield from boot_gate.booting(
                    store.blob(built.qcow2.sha256),
                    release=built.release,
                    firmware=FIRMWARES[name],
                    timeout=settings.build.boot_timeout_seconds,
                    memory_mib=settings.build.boot_memory_mib,
                    scratch=scratch,
                    progress=progress,
                )
            progress.ended("booted" if found[0] else "did not boot", built.qcow2.size_bytes)
            return examined(store, name, built.qcow2.sha256, found)

    wanted = [name for name in FIRMWARES if dg.AssetCheckKey(QCOW2, name) in context.selected_asset_check_keys]
    for result in together([boot(name) for name in wanted]):
        yield _result(result, QCOW2, result.name)


@dg.asset_check(asset=raw_xz_record, blocking=True, partitions_def=VERSIONS, config_schema={})
@bordered
def variants_decode_to_one_disk(
    context: dg.AssetCheckExecutionContext, raw_xz_record: CandidateRecord, store: dg.ResourceParam[ArtifactStore]
) -> dg.AssetCheckResult:
    """Both variants, decoded by the stock programs (`qemu-img`, `xz`), are the record's disk, byte for byte."""
    record = raw_xz_record.record
    with step(context, "variants_decode_to_one_disk") as progress:
        progress.ended("adopted", 2 * record.disk.size_bytes)

        def examine() -> tuple[bool, dict[str, JsonValue]]:
            with store.scratch("variants") as scratch:
                packed, compressed = (store.blob(record.variants[format_].sha256) for format_ in FORMATS)
                found = decoded_disks(packed, compressed, scratch, progress=progress)
            progress.ended("compared", 2 * record.disk.size_bytes)
            return all(disk == record.disk for disk in found.values()), {
                "expected": record.disk.sha256,
                **{format_: disk.sha256 for format_, disk in found.items()},
            }

        subject = record.variants["raw.xz"].sha256
        return _result(gate(store, "variants_decode_to_one_disk", subject, examine), RAW_XZ)
