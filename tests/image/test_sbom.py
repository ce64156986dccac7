import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hyops_assets.image.dpkg import BadStatus, PackageDiff, installed, package_diff
from hyops_assets.image.sbom import Subject, sbom

STATUS = b"""\
Package: base-files
Essential: yes
Status: install ok installed
Maintainer: Santiago Vila <sanvila@debian.org>
Architecture: amd64
Version: 12.4+deb12u5
Description: Debian base system miscellaneous files
 This package contains the basic filesystem hierarchy.

Package: libssl3
Status: hold ok installed
Maintainer: Debian OpenSSL Team, for real <pkg-openssl-devel@alioth-lists.debian.net>
Architecture: amd64
Multi-Arch: same
Source: openssl (3.0.11-1~deb12u2)
Version: 3.0.11-1~deb12u2+b1
Description: Secure Sockets Layer toolkit - shared libraries

Package: vyos-1x
Status: install ok installed
Maintainer: VyOS Package Maintainers <maintainers@vyos.net>
Architecture: amd64
Version: 1:1.5dev0-3500-gabc
Description: VyOS configuration scripts and data

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
SUBJECT = Subject(
    record_key="vyos-1.5",
    record_version="2026.03.03-0027-rolling",
    release="2026.03.03-0027-rolling",
    disk_sha256="a" * 64,
    iso_sha256="b" * 64,
    iso_name="vyos-2026.03.03-0027-rolling-generic-amd64.iso",
    epoch=1_772_497_620,
)


def components(bill: bytes) -> dict[str, dict]:
    return {component["name"]: component for component in json.loads(bill)["components"]}


def assert_valid(bill: bytes) -> None:
    errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode())
    assert errors is None, errors


def test_the_bill_follows_the_schema_of_cyclonedx() -> None:
    assert_valid(sbom(STATUS, SUBJECT))


@pytest.mark.seconds
@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="no Debian host")
def test_the_bill_of_a_real_debian_follows_it_too_and_names_every_package() -> None:
    status = Path("/var/lib/dpkg/status").read_bytes()
    assert len(json.loads(sbom(status, SUBJECT))["components"]) == len(installed(status))
    # The validator takes seconds for hundreds of packages.
    stanzas = status.rstrip(b"\n").split(b"\n\n")
    (suite,) = [stanza for stanza in stanzas if stanza.startswith(b"Package: base-files\n")]
    assert_valid(sbom(b"\n\n".join([suite, *stanzas[::8]]) + b"\n", SUBJECT))


def test_the_bill_is_the_same_each_time_and_another_for_another_disk() -> None:
    first = sbom(STATUS, SUBJECT)
    assert sbom(STATUS, SUBJECT) == first
    assert json.loads(first)["metadata"]["timestamp"] == "2026-03-03T00:27:00+00:00"
    other = Subject(**{**SUBJECT.__dict__, "disk_sha256": "c" * 64})
    assert json.loads(sbom(STATUS, other))["serialNumber"] != json.loads(first)["serialNumber"]


def test_a_package_url_says_vendor_architecture_and_suite() -> None:
    found = components(sbom(STATUS, SUBJECT))
    assert found["base-files"]["purl"] == "pkg:deb/debian/base-files@12.4%2Bdeb12u5?arch=amd64&distro=bookworm"
    assert found["vyos-1x"]["purl"].startswith("pkg:deb/vyos/vyos-1x@1:1.5dev0-3500-gabc?")


def test_a_component_names_its_maintainer_and_its_source_and_guesses_no_licence() -> None:
    library = components(sbom(STATUS, SUBJECT))["libssl3"]
    assert library["supplier"]["name"] == "Debian OpenSSL Team, for real"
    properties = {item["name"]: item["value"] for item in library["properties"]}
    assert properties["hyops:dpkg:source"] == "openssl"
    assert properties["hyops:dpkg:source-version"] == "3.0.11-1~deb12u2"
    assert properties["hyops:dpkg:hold"] == "true"
    assert "licenses" not in library


def test_what_is_described_is_the_record_and_its_iso() -> None:
    bill = json.loads(sbom(STATUS, SUBJECT))
    record = bill["metadata"]["component"]
    assert (record["name"], record["version"]) == ("vyos-1.5", "2026.03.03-0027-rolling")
    assert record["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert record["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    (depends,) = [edge for edge in bill["dependencies"] if edge["ref"] == record["bom-ref"]]
    assert len(depends["dependsOn"]) == 3


def test_a_removed_package_is_in_no_bill() -> None:
    assert set(components(sbom(STATUS, SUBJECT))) == {"base-files", "libssl3", "vyos-1x"}


def test_a_status_without_packages_has_no_bill() -> None:
    with pytest.raises(BadStatus, match="no installed package"):
        sbom(b"", SUBJECT)


def test_the_difference_of_two_disks_is_reported_package_by_package() -> None:
    former = {"gone": "1", "kept": "2", "raised": "1:2.0-1"}
    diff = package_diff(former, {"kept": "2", "new": "3", "raised": "1:2.0-2"})
    assert diff == PackageDiff({"new": "3"}, {"gone": "1"}, {"raised": ("1:2.0-1", "1:2.0-2")})
    assert diff.text() == ("- gone 1\n+ new 3\n~ raised 1:2.0-1 -> 1:2.0-2\n1 added, 1 removed, 1 changed\n")


def test_the_same_packages_do_not_differ() -> None:
    diff = package_diff(installed(STATUS), installed(STATUS))
    assert diff.empty
    assert diff.text() == "0 added, 0 removed, 0 changed\n"
