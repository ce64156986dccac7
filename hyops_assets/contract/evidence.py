"""Evidence: how a record came to be. One file per run, beside the record, never part of its identity."""

from datetime import datetime
from typing import Literal, Self
from urllib.parse import unquote

from pydantic import JsonValue

from hyops_assets.contract.canonical import Frozen, Sha256
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.record import Record, VariantFormat
from hyops_assets.contract.urls import BadUrl, Url


class SignatureFacts(Frozen):
    """A verified minisign signature of an ISO, whole enough to verify it again.

    `minisig` is the signature file's text; `trusted_comment` is the signed comment in it.
    """

    key_name: str
    key_id: str
    public_key: str
    algorithm: Literal["prehashed", "legacy"]
    trusted_comment: str
    file_name: str
    signed_at: datetime
    minisig: str
    lab: bool = False


class SignedIso(Frozen):
    """An ISO whose signature was verified, as the artifact store holds it."""

    release: str
    file_name: str
    size_bytes: int
    sha256: Sha256
    source_url: str
    signature: SignatureFacts

    def published(self) -> Self:
        """Return this as it may stand in a public document: where the ISO came from, without what is ours alone.

        Of a path on this host only the file's name is left; of a URL neither credentials nor a query, which may
        sign it.
        """
        return self.model_copy(update={"source_url": _bare(self.source_url)})


def _bare(source: str) -> str:
    scheme, is_url, rest = source.partition("://")
    if not is_url:
        return source.rsplit("/", 1)[-1]
    path = rest.partition("#")[0].partition("?")[0]
    authority, _, path = path.partition("/")
    if scheme.lower() == "file":
        return unquote(path).rsplit("/", 1)[-1]
    bare = f"{scheme}://{authority.rpartition('@')[2]}/{path}"
    try:
        return Url.parse(bare, schemes=("https", "http")).shown
    except BadUrl:
        # Whatever it is, a part that is public cannot be distinguished from one that is not.
        return ""


class GateResult(Frozen):
    """What one gate found. `detail` is shown as it is; it holds no secret."""

    name: str
    passed: bool
    subject_sha256: Sha256
    detail: dict[str, JsonValue]


class PackageChanges(Frozen):
    """How the packages of a record differ from those of a former one: versions by name, `changed` from and to."""

    former: str
    added: dict[str, str]
    removed: dict[str, str]
    changed: dict[str, tuple[str, str]]

    @property
    def markdown(self) -> str:
        """A table for people, a row per package; one sentence where nothing changed."""
        rows = [(name, "", version) for name, version in self.added.items()]
        rows += [(name, version, "") for name, version in self.removed.items()]
        rows += [(name, was, now) for name, (was, now) in self.changed.items()]
        if not rows:
            return f"The same packages as {self.former}."
        lines = [f"| {name} | {was or '-'} | {now or '-'} |" for name, was, now in sorted(rows)]
        return "\n".join([f"| package | {self.former} | now |", "|---|---|---|", *lines])


class Evidence(Frozen):
    """Everything an auditor asks about one run's record, besides its identity."""

    schema_version: Literal["hyops.evidence/v1"] = "hyops.evidence/v1"
    record: Record
    record_digest: Sha256
    run_id: str
    recorded_at: datetime
    iso: SignedIso | None
    build: dict[str, JsonValue]
    gates: list[GateResult]
    sbom_url: str
    package_changes: PackageChanges | None = None


class Contract(Frozen):
    """A published record and where its files are: what seeds consume. Every URL is versioned and immutable.

    `registered` marks a record that others published: it has no evidence and no bill of materials of ours (empty
    URLs), its document only where one was given, and its files may be of one variant alone.
    """

    record: Record
    record_digest: Sha256
    record_url: str
    evidence_url: str
    sbom_url: str
    urls: dict[VariantFormat, str]
    signature: SignatureFacts | None
    registered: bool = False

    def url_of(self, format_: VariantFormat) -> str:
        """Return the published URL of a variant.

        Raises:
            Refused: the record was registered without it.
        """
        if format_ not in self.urls:
            raise Refused(
                f"{self.record.key} {self.record.version} was registered without its {format_}",
                hint="register it again with both variants (record_variants), or build it here",
            )
        return self.urls[format_]
