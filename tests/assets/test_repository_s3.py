"""The graph publishes into a bucket of an S3 service as into any other repository."""

from pathlib import Path

import httpx
import pytest

from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.references import StateRef
from resources.buckets.s3_client import KEY, KEY_ID
from resources.states.store import StateStore
from tests.assets.environment import RELEASE
from tests.assets.ground import Ground
from tests.s3_scene import BUCKET, PUBLISHER, s3_scene

REPOSITORY = StateRef("org/aws/object-repo", "vyos_records")
NAME = f"network/vyos/vyos-1.5-{RELEASE}"


def test_a_record_is_published_into_the_bucket_that_a_state_names_and_then_adopted(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        ground.environment("built", tmp_path / "home") as home,
        s3_scene(tmp_path / "s3", home.lab.authority) as scene,
    ):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(home.lab.files.bundle))
        monkeypatch.setenv(KEY_ID, PUBLISHER)
        monkeypatch.setenv(KEY, scene.keys[PUBLISHER])
        named = {"repo_backend": "s3", "s3_bucket": BUCKET, "repo_endpoint": scene.stand_in.url, "lab": True}
        StateStore(home.root).commit(REPOSITORY, run_id="r", outputs=named)

        ran = home.graph(HandedOver(repo_state_ref=str(REPOSITORY))).build(RELEASE)
        outputs = home.state("core__shared__vyos-image-build/instances/vyos_default_build.json")["outputs"]
        base = f"{scene.stand_in.url}/{BUCKET}/{NAME}"
        assert outputs["record_url"] == f"{base}.qcow2"
        assert outputs["record_variants"]["raw.xz"]["url"] == f"{base}.raw.xz"
        assert ran.metadata["published_contract"]["repository"] == f"s3://{BUCKET}"
        assert home.published() == {}
        with httpx.Client() as anyone:
            assert anyone.head(f"{base}.record.json").status_code == 200

        written = len(scene.seen("PUT"))
        again = home.graph(HandedOver(repo_state_ref=str(REPOSITORY))).build(RELEASE)
        assert again.metadata["published_contract"]["bytes_sent"] == 0
        assert len([one for one in scene.seen("PUT")[written:] if one.status == 200]) == 0
        assert scene.keys[PUBLISHER] not in "".join(
            path.read_text(errors="replace") for path in home.root.path.rglob("*.json") if path.is_file()
        )
