"""The digests that a fixture, some settings and a build method give: what is compared with `golden_digests.json`.

python -m tests.image.golden     writes the table anew; raise BUILDER_VERSION with it, and name the reason there
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hyops_assets.contract.record import Record, Variant, VariantFormat
from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.build import BUILDER_VERSION
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.variants import qcow2, rawxz
from hyops_assets.settings.build import BuildSettings, Command
from tests.image.conftest import RELEASE, Workshop, make_workshop

TABLE = Path(__file__).parent / "golden_digests.json"
KEY = "vyos-1.5"
DISK_ENV = "GOLDEN_DISK"
"""Where the command of the method `command` finds the disk that it gives."""


@dataclass(frozen=True)
class Case:
    """One line of the table: settings by name, what they change, and the method."""

    settings: str
    changes: Mapping[str, object]
    method: str = "native"


CASES = (
    Case("as they come", {}),
    Case("1 GiB", {"disk_bytes": 1 << 30}),
    Case("screen, no menu", {"console": "tty0", "menu_timeout_seconds": 0}),
    Case("9600 baud", {"console_speed": 9600}),
    Case("guest agent alone", {"packages": ["qemu-guest-agent"]}),
    Case("as they come", {}, method="command"),
)


def digests(workshop: Workshop, case: Case, directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Build a case's record; return its digests by what they are of, and the versions of what made it."""
    disk, given = directory / "disk.raw", directory / "given.raw"
    changes: dict[str, Any] = dict(case.changes)
    if case.method == "command":
        workshop.build(given, directory)
        os.environ[DISK_ENV] = str(given)
        line = f'cp --sparse=always "${DISK_ENV}" "$HYOPS_VYOS_ARTIFACT_LOCAL_PATH"'
        changes |= {
            "method": "command",
            "command": Command(build_command=line, build_workdir=directory, environment=[DISK_ENV], complete=True),
        }
    settings = BuildSettings.model_validate(workshop.settings.model_dump() | changes)
    built = workshop.build(disk, directory, settings=settings)
    packed = qcow2.encode(disk, directory / "disk.qcow2")
    compressed = rawxz.encode(directory / "disk.qcow2", directory / "disk.raw.xz", disk_format="qcow2")
    record = Record(
        key=KEY,
        version=RELEASE,
        disk=packed.disk,
        variants={"qcow2": _variant("qcow2", packed), "raw.xz": _variant("raw.xz", compressed)},
        iso_sha256=sha256_of_file(workshop.iso.iso),
        overlay_lock_sha256=built.lock.digest,
        helper_sha256=built.helper_sha256,
        lab=True,
    )
    found = {"disk": packed.disk.sha256, "qcow2": packed.sha256, "raw.xz": compressed.sha256, "record": record.digest}
    return found, cast("dict[str, str]", built.facts["tools"])


def line_of(case: Case, workshop: Workshop, found: Mapping[str, str], tools: Mapping[str, str]) -> dict[str, object]:
    """Return a case as it stands in the table."""
    return {
        "fixture": f"miniature {sha256_of_file(workshop.iso.iso)}",
        "settings": case.settings,
        "method": case.method,
        "builder": BUILDER_VERSION,
        "digests": dict(found),
        "made with": dict(tools),
    }


def _variant(format_: VariantFormat, encoded: qcow2.Encoded | rawxz.Encoded) -> Variant:
    name = published_name(KEY, RecordVersion.parse(RELEASE), format_)
    return Variant(file_name=Path(name).name, size_bytes=encoded.size_bytes, sha256=encoded.sha256)


def write_table() -> None:
    """Build every case and write the table."""
    lines: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as root:
        workshop = make_workshop(Path(root))
        for number, case in enumerate(CASES):
            directory = Path(root) / str(number)
            directory.mkdir()
            lines.append(line_of(case, workshop, *digests(workshop, case, directory)))
    TABLE.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    write_table()
