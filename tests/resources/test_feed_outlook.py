"""Looking for an ISO reads its signature as fetching it does: whole, bounded, as text."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.version import iso_file_name
from hyops_assets.settings.feed import MAX_SIGNATURE_BYTES, FeedSettings
from hyops_lab.authority import Authority
from resources.feed.download import IsoUnreachable
from resources.feed.outlook import StandingIso, look_for_iso
from resources.feed.parse import release_at
from resources.feed.unknown import ReleaseUnknown
from tests.resources.hostile import answer, serving

RELEASE = "2026.03.03-0027-rolling"


def looked_for(directory: Path, signature: bytes | None) -> StandingIso:
    iso = directory / iso_file_name(RELEASE)
    iso.write_bytes(b"iso")
    if signature is not None:
        iso.with_name(f"{iso.name}.minisig").write_bytes(signature)
    return look_for_iso(release_at(RELEASE, str(iso), given=True), FeedSettings())


def test_a_signature_as_long_as_minisign_writes_one_is_read_whole(tmp_path: Path) -> None:
    longest = b"x" * MAX_SIGNATURE_BYTES
    assert looked_for(tmp_path, longest).minisig.encode() == longest


@pytest.mark.parametrize(
    ("signature", "why"),
    [(b"x" * (MAX_SIGNATURE_BYTES + 1), "has more than"), (b"\xff", "is not text"), (None, "is no file")],
)
def test_what_is_no_signature_is_said(signature: bytes | None, why: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseUnknown, match=why):
        looked_for(tmp_path, signature)


def test_an_authority_that_is_not_trusted_is_the_cause_and_not_the_version(
    authority: Authority, tmp_path: Path
) -> None:
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"")

    with serving(script, Authority(tmp_path / "untrusted")) as server:
        release = release_at(RELEASE, f"{server.url}/{iso_file_name(RELEASE)}", given=True)
        with pytest.raises(IsoUnreachable) as unreachable:
            look_for_iso(release, FeedSettings(iso_hosts=["127.0.0.1"]))
    assert "not trusted" in unreachable.value.message
    assert "SSL_CERT_FILE" in unreachable.value.hint
