"""The bill of materials of a disk, from its dpkg status.

Reads text, runs nothing. The bill is CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/) with package URLs of type
`deb` (https://github.com/package-url/purl-spec). What a dpkg status does not tell, licences above all, is left out.
"""

# The library's class decorator is typed as a union where an intersection is meant: pyright sees no parameters.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from hyops_assets.contract.canonical import Sha256, digest_of
from hyops_assets.image.dpkg import Stanza, installed_stanzas, package_name, suite_of

_SERIALS = uuid.uuid5(uuid.NAMESPACE_URL, "https://hyops/sbom")
_MAINTAINER = re.compile(r"(?P<name>[^<]*?)\s*<(?P<address>[^@\s<>]+@[^@\s<>]+)>.*")
_VYOS = re.compile(r"@(?:[\w.-]+\.)?vyos\.(?:io|net)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Subject:
    """What a bill of materials describes: a record's disk, and the ISO that it was made from, if that is known.

    `epoch` is the ISO's time in seconds since 1970 (`OpenedIso.epoch`): the bill's own time, so that the same disk
    has the same bill.
    """

    record_key: str
    record_version: str
    release: str
    disk_sha256: Sha256
    iso_sha256: Sha256 | None
    iso_name: str | None
    epoch: int


def sbom(status: bytes, subject: Subject) -> bytes:
    """Return the CycloneDX JSON of everything that a disk's dpkg holds for installed.

    A pure function: the serial number derives from the content, the time is the ISO's.

    Args:
        status: the effective /var/lib/dpkg/status, overlay over squashfs.
        subject: what the bill is of.

    Raises:
        BadStatus: the status names no installed package, or tells no Debian suite.
    """
    suite = suite_of(status)
    described = _described(subject)
    bom = Bom(
        serial_number=uuid.uuid5(_SERIALS, digest_of([status.decode("utf-8", "backslashreplace"), repr(subject)])),
        metadata=BomMetaData(component=described, timestamp=datetime.fromtimestamp(subject.epoch, UTC)),
        components=[_component(stanza, suite) for stanza in installed_stanzas(status)],
    )
    bom.register_dependency(described, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2).encode() + b"\n"


def _described(subject: Subject) -> Component:
    return Component(
        name=subject.record_key,
        version=subject.record_version,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=f"record:{subject.record_key}-{subject.record_version}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=subject.disk_sha256)],
        description="the canonical disk of a record; the hash is that of the raw disk",
        components=list(_iso(subject)),
    )


def _iso(subject: Subject) -> Iterator[Component]:
    if subject.iso_sha256 is not None and subject.iso_name is not None:
        yield Component(
            name=subject.iso_name,
            version=subject.release,
            type=ComponentType.FILE,
            bom_ref=f"iso:{subject.iso_sha256}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=subject.iso_sha256)],
            description="the signed ISO that the disk was made from",
        )


def _component(stanza: Stanza, suite: str) -> Component:
    purl = _purl(stanza, suite)
    return Component(
        name=package_name(stanza),
        version=stanza.get("version"),
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        supplier=_maintainer(stanza.get("maintainer", "")),
        description=stanza.get("description", "").split("\n", 1)[0] or None,
        properties=[Property(name=f"hyops:dpkg:{name}", value=value) for name, value in _properties(stanza)],
    )


def _properties(stanza: Stanza) -> Iterator[tuple[str, str]]:
    """Yield what has no field of its own. Security trackers know source packages, not binary ones."""
    source, _, version = stanza.get("source", stanza["package"]).partition(" ")
    yield "source", source
    yield "source-version", version.strip("()") or stanza.get("version", "")
    if stanza.get("status", "").split()[0] == "hold":
        yield "hold", "true"


def _purl(stanza: Stanza, suite: str) -> PackageURL:
    """Return a package URL; the namespace is the vendor, `vyos` for what VyOS' own people maintain."""
    origin = stanza.get("origin", "").lower()
    if not re.fullmatch(r"[a-z][a-z0-9.-]*", origin):
        origin = "vyos" if _VYOS.search(stanza.get("maintainer", "")) else "debian"
    qualifiers = {"arch": stanza.get("architecture", ""), "distro": suite}
    return PackageURL("deb", origin, stanza["package"], stanza.get("version"), qualifiers)


def _maintainer(field: str) -> OrganizationalEntity | None:
    """Return the maintainer: `Name <address>` (Debian policy §5.6.2), where the name may hold commas."""
    match = _MAINTAINER.fullmatch(field)
    if match is None:
        return OrganizationalEntity(name=field) if field else None
    contact = OrganizationalContact(name=match["name"] or None, email=match["address"])
    return OrganizationalEntity(name=match["name"] or match["address"], contacts=[contact])
