"""A run whose `repo_state_ref` names a bucket publishes there, whatever `pipeline.yml` says."""

from collections.abc import Iterator

import dagster as dg
import httpx
import pytest
from google.auth.credentials import CredentialsWithRegionalAccessBoundary

from hyops_assets.cli.graph import Graph, RunFailed
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.resolution import UnresolvedState
from hyops_assets.settings.object_repo import BadRepository
from hyops_lab.cli.lab import REPOSITORY, offer_repository
from hyops_lab.ensemble import GCS_BUCKET
from resources.handed_over import handed_over_to
from resources.states.store import StateStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.assets.ground import Ground
from tests.gcs_scene import BOUNDARY_IS_ASKED

NAME = f"network/vyos/vyos-1.5-{RELEASE}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, ground: Ground) -> Iterator[LabEnvironment]:
    """An environment with a bucket, in which one record is built and not yet published."""
    with pytest.MonkeyPatch.context() as patch:
        # google-auth asks Google, in a thread, for an account's regional boundary: not in tests, some of which fork.
        patch.setattr(CredentialsWithRegionalAccessBoundary, BOUNDARY_IS_ASKED, lambda _: False)
        with ground.environment("built", tmp_path_factory.mktemp("bucket"), gcs=True) as copy:
            offer_repository(copy.root)
            yield copy


def publishing(home: LabEnvironment, reference: str = str(REPOSITORY)) -> Graph:
    return home.graph(HandedOver(repo_state_ref=reference))


def beside(home: LabEnvironment, instance: str, **outputs: str | bool) -> str:
    """A state beside the lab's own, with other outputs; its reference."""
    states = StateStore(home.root)
    found = states.find(REPOSITORY)
    assert found is not None
    other = StateRef(REPOSITORY.module, instance)
    states.commit(other, run_id="r", outputs={**found.outputs, **outputs})
    return str(other)


def test_a_lab_s_record_is_refused_by_a_bucket_that_is_not_a_lab_s(home: LabEnvironment) -> None:
    with pytest.raises(RunFailed, match="signed by a lab key; this object repository is not a lab's"):
        publishing(home, beside(home, "real", lab=False)).build(RELEASE)
    assert home.mutations()["gcs"] == 0


def test_a_state_of_another_backend_is_refused(home: LabEnvironment) -> None:
    with pytest.raises(BadRepository, match=r"backend 'azure'; only gcs and s3 are served"):
        publishing(home, beside(home, "azure", repo_backend="azure")).build(RELEASE)


def test_a_state_that_is_not_there_is_refused(home: LabEnvironment) -> None:
    with pytest.raises(UnresolvedState, match="org/gcp/object-repo#nothing has no state"):
        publishing(home, f"{REPOSITORY.module}#nothing").build(RELEASE)


def test_the_record_is_in_the_bucket_and_nowhere_else(home: LabEnvironment) -> None:
    ran = publishing(home).build(RELEASE)
    outputs = home.state("core__shared__vyos-image-build/instances/vyos_default_build.json")["outputs"]
    assert home.lab.gcs is not None
    base = f"{home.lab.gcs.url}/{GCS_BUCKET}/{NAME}"
    assert outputs["record_url"] == f"{base}.qcow2"
    assert outputs["record_variants"]["raw.xz"]["url"] == f"{base}.raw.xz"
    assert home.published() == {}
    assert ran.metadata["published_contract"]["repository"] == f"gs://{GCS_BUCKET}"
    with httpx.Client() as stranger:
        assert stranger.head(f"{base}.record.json").status_code == 200


def test_the_run_names_what_it_was_handed_over_so_that_it_publishes_there_again(home: LabEnvironment) -> None:
    run = home.instance.get_runs(dg.RunsFilter(job_name="build_record"), limit=1)[0]
    assert handed_over_to(home.root, run) == HandedOver(repo_state_ref=str(REPOSITORY))
    assert "resources" not in run.run_config


def test_published_again_it_is_adopted_with_nothing_sent(home: LabEnvironment) -> None:
    before = home.mutations()["gcs"]
    ran = publishing(home).build(RELEASE)
    assert ran.metadata["published_contract"]["bytes_sent"] == 0
    assert home.mutations()["gcs"] == before


def test_the_lab_leaves_a_slot_alone_that_is_somebody_s(home: LabEnvironment) -> None:
    states = StateStore(home.root)
    found = states.find(REPOSITORY)
    assert found is not None
    before = found.outputs
    ours = {key: value for key, value in before.items() if key != "lab"} | {"repo_bucket_name": "ours"}
    states.commit(REPOSITORY, run_id="r", outputs=ours)
    offer_repository(home.root)
    kept = states.find(REPOSITORY)
    assert kept is not None
    assert kept.outputs == ours
