"""What a template says about itself survives Proxmox, people and clones, or counts for nothing."""

import base64
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.record import Disk, Record, Variant
from resources.sites.proxmox.lineage import (
    TemplateLineage,
    description_of,
    import_file_name,
    parse_lineage,
    smbios_of,
    tags_of,
    template_name,
)

DNS_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
HYBRIDOPS_TEMPLATE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,126}")


def record(key: str = "vyos-1.5", version: str = "2026.03.03-0027-rolling-r2") -> Record:
    qcow2 = Variant(file_name=f"{key}-{version}.qcow2", size_bytes=1, sha256="b" * 64)
    return Record(key=key, version=version, disk=Disk(size_bytes=512, sha256="a" * 64), variants={"qcow2": qcow2})


def lineage(**changes: Any) -> TemplateLineage:
    values = {
        "vmid": 9200,
        "node": "pve1",
        "key": "vyos-1.5",
        "version": "2026.03.03-0027-rolling-r2",
        "record_digest": record().digest,
        "disk_sha256": "a" * 64,
        "qcow2_sha256": "b" * 64,
        "source_url": "https://objects.example/vyos.qcow2",
        "seed_id": "0123456789abcdef",
        "run_id": "run-1",
        "state": "ready",
        "seeded_at": datetime(2026, 3, 4, tzinfo=UTC),
    }
    return TemplateLineage.model_validate(values | changes)


def test_a_lineage_is_read_back_from_its_description() -> None:
    assert parse_lineage(description_of(lineage())) == lineage()


def test_a_description_fits_into_what_proxmox_takes_and_has_lines_for_people() -> None:
    text = description_of(lineage(lab=True))

    assert len(text) <= 8192
    assert text.startswith("VyOS 2026.03.03-0027-rolling-r2 (vyos-1.5), seeded by HyOps in a lab.")


@pytest.mark.parametrize("change", [lambda text: f"{text}\n", lambda text: text.replace("\n", "\r\n")])
def test_line_ends_that_proxmox_or_a_browser_adds_do_not_matter(change: Any) -> None:
    assert parse_lineage(change(description_of(lineage()))) == lineage()


def test_notes_that_an_operator_writes_around_it_do_not_matter() -> None:
    assert parse_lineage(f"keep until May\n\n{description_of(lineage())}\n\nasked by Ann") == lineage()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "a router",
        "```json\n{}\n```",
        "```json\n{broken\n```",
        description_of(lineage()).replace("hyops.template/v1", "hyops.template/v9"),
        description_of(lineage()).replace('"seed_id"', '"seed_no"'),
        description_of(lineage()) * 2,
    ],
)
def test_what_is_not_exactly_one_lineage_of_ours_is_none(text: str | None) -> None:
    assert parse_lineage(text) is None


@given(st.text(max_size=400))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    parse_lineage(text)
    parse_lineage(f"```json\n{{{text}}}\n```")


def test_a_lineage_describes_a_record_by_its_digests_only() -> None:
    assert lineage().describes(record())
    assert not lineage(record_digest="c" * 64).describes(record())
    assert not lineage(disk_sha256="c" * 64).describes(record())


@pytest.mark.parametrize("version", ["2026.03.03-0027-rolling-r2", "1.5-rolling-202401010022", "1.5-stream-2026-Q1"])
@pytest.mark.parametrize("key", ["vyos-1.5", "v1", "vyos_edge.1-5", "x" * 63])
def test_a_template_name_is_one_dns_label_and_satisfies_hybridops(key: str, version: str) -> None:
    name = template_name(record(key, version))

    assert DNS_LABEL.fullmatch(name)
    assert HYBRIDOPS_TEMPLATE_NAME.fullmatch(name)
    assert name.endswith(version.replace(".", "-"))


def test_the_image_on_the_node_is_named_by_its_content() -> None:
    assert import_file_name(record()) == "vyos-1.5-2026.03.03-0027-rolling-r2-bbbbbbbbbbbb.qcow2"


def test_tags_are_such_as_proxmox_takes() -> None:
    assert tags_of(record()) == "vyos;vyos-aaaaaaaaaaaa"
    assert all(re.fullmatch(r"[a-z0-9_][a-z0-9_+.-]*", tag) for tag in tags_of(record()).split(";"))


def test_a_running_clone_can_be_traced_through_its_smbios_and_the_serial_stays_free() -> None:
    fields = dict(part.split("=", 1) for part in smbios_of(record()).split(","))

    assert base64.b64decode(fields["family"]).decode() == "a" * 64
    assert base64.b64decode(fields["sku"]).decode() == "2026.03.03-0027-rolling-r2"
    assert fields["base64"] == "1"
    assert "serial" not in fields
    assert len(smbios_of(record())) <= 512
