import pytest

from hyops_assets.contract.evidence import SignedIso
from tests.contract.samples import VERSION, sha256, signature

NAME = f"vyos-{VERSION}-generic-amd64.iso"


def iso(source_url: str) -> SignedIso:
    return SignedIso(
        release=VERSION,
        file_name=NAME,
        size_bytes=1,
        sha256=sha256("iso"),
        source_url=source_url,
        signature=signature(),
    )


@pytest.mark.parametrize(
    ("source", "published"),
    [
        (f"/home/operator/isos/{NAME}", NAME),
        (f"file:///home/operator/my%20isos/{NAME}", NAME),
        (NAME, NAME),
        (f"https://mirror.example.net/isos/{NAME}", f"https://mirror.example.net/isos/{NAME}"),
        (f"https://who:word@mirror.example.net/{NAME}?sig=f00d#x", f"https://mirror.example.net/{NAME}"),
    ],
)
def test_evidence_says_where_an_iso_came_from_and_nothing_that_is_ours_alone(source: str, published: str) -> None:
    assert iso(source).published().source_url == published
    assert iso(source).published().model_copy(update={"source_url": source}) == iso(source)
