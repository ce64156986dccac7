"""A bucket of S3 in the settings, and in the state that a run's `repo_state_ref` names."""

import pytest

from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import Outputs
from hyops_assets.settings.object_repo import BadRepository, repository_settings
from hyops_assets.settings.repository import RepositorySettings

REF = StateRef("org/aws/object-repo", "vyos_records")
HETZNER = "https://fsn1.your-objectstorage.com"


@pytest.mark.parametrize(
    ("keys", "below"),
    [
        ({"endpoint": HETZNER}, f"{HETZNER}/records-a1"),
        ({"region": "eu-central-1"}, "https://records-a1.s3.eu-central-1.amazonaws.com"),
        (
            {"bucket": "records.example.com", "region": "eu-west-1"},
            "https://s3.eu-west-1.amazonaws.com/records.example.com",
        ),
        ({"endpoint": HETZNER, "public_base_url": "https://images.example.com"}, "https://images.example.com"),
    ],
)
def test_anyone_reads_below_the_bucket_s_own_url_unless_another_is_named(keys: dict[str, str], below: str) -> None:
    settings = RepositorySettings.model_validate({"kind": "s3", "bucket": "records-a1", **keys})
    assert settings.s3_base_url == below
    assert settings.place == f"s3://{settings.bucket}"


@pytest.mark.parametrize("name", ["s3_bucket", "repo_bucket_name", "bucket_name"])
def test_a_state_names_the_bucket_in_each_of_hybridops_ways(name: str) -> None:
    outputs: Outputs = {"repo_backend": "s3", name: "records-a1", "repo_region": "eu-central-1", "repo_endpoint": ""}
    found = repository_settings(REF, outputs)
    assert (found.kind, found.bucket, found.region, found.endpoint) == ("s3", "records-a1", "eu-central-1", None)


def test_a_state_names_endpoint_and_public_url() -> None:
    outputs: Outputs = {
        "repo_backend": "s3",
        "s3_bucket": "records-a1",
        "repo_endpoint": HETZNER,
        "repo_public_base_url": "https://images.example.com",
        "repo_region": "",
    }
    found = repository_settings(REF, outputs)
    assert (found.endpoint, found.region, found.s3_base_url) == (HETZNER, None, "https://images.example.com")


def test_a_state_of_s3_without_a_bucket_or_a_place_is_refused() -> None:
    with pytest.raises(BadRepository, match=r"org/aws/object-repo#vyos_records names no usable bucket"):
        repository_settings(REF, {"repo_backend": "s3", "repo_region": "eu-central-1"})
    with pytest.raises(BadRepository, match=r"needs repository\.endpoint, or repository\.region"):
        repository_settings(REF, {"repo_backend": "s3", "s3_bucket": "records-a1"})
