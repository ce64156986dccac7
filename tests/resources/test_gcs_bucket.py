"""The bucket's keeper against the stand-in, through Google's own client."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud.storage import Bucket, Client

from hyops_assets.settings.object_repo import ObjectRepoInputs
from hyops_lab.authority import Authority
from hyops_lab.faults import Answer, DropAfterCommit
from resources.repository.base import NotPublic
from resources.repository.gcs_bucket import PUBLISHER, READER, BucketFixed, BucketKeeper, BucketOfOthers
from resources.repository.gcs_errors import NotPermitted, Unavailable
from resources.repository.gcs_upload import Patience
from tests.gcs_scene import BUCKET, GcsScene, gcs_scene, trust

NEW = "hyops-dev-vyos-records-a1"
QUICK = Patience(deadline_seconds=2.0, first_delay_seconds=0.01, answer_seconds=5.0)
POLICY = f"/storage/v1/b/{NEW}/iam"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsScene]:
    authority = Authority(tmp_path / "authority")
    trust(authority, monkeypatch)
    with gcs_scene(tmp_path, authority) as scene:
        yield scene


def wanted(**changes: Any) -> ObjectRepoInputs:
    return ObjectRepoInputs.model_validate({"project_id": "hyops-lab", "bucket_name": NEW, **changes})


def keeper(scene: GcsScene, client: Client | None = None, **changes: Any) -> BucketKeeper:
    return BucketKeeper(client or scene.client(), wanted(**changes), QUICK)


def held(scene: GcsScene, name: str = NEW) -> set[tuple[str, str]]:
    policy = scene.client().bucket(name).get_iam_policy()
    return {(one["role"], member) for one in policy.bindings for member in one["members"]}


PUBLISHING = {(role, f"serviceAccount:{wanted().service_account_email}") for role in PUBLISHER}


def test_a_plan_names_what_would_be_created_and_creates_nothing(scene: GcsScene) -> None:
    before = scene.writes
    planned = [(change.what, change.action) for change in keeper(scene).plan()]
    account = f"serviceAccount:{wanted().service_account_email}"
    assert planned == [(f"gs://{NEW}", "create"), ("allUsers", "grant"), (account, "grant"), (account, "grant")]
    assert scene.writes == before


def test_a_new_bucket_is_open_to_readers_and_to_one_publisher_only(scene: GcsScene) -> None:
    brought = keeper(scene).bring()
    assert (brought.location, brought.pending) == ("EU", ())
    assert [change.action for change in brought.changes] == ["create", "grant", "grant", "grant"]
    assert held(scene) == {(READER, "allUsers")} | PUBLISHING
    bucket = scene.client().get_bucket(NEW)
    assert bucket.iam_configuration.uniform_bucket_level_access_enabled
    assert bucket.labels["hyops_managed_by"] == "hyops"
    assert (bucket.storage_class, bucket.retention_period, bucket.versioning_enabled) == ("STANDARD", None, False)


def test_anonymous_readers_may_read_what_they_can_name_and_may_not_list(scene: GcsScene) -> None:
    keeper(scene).bring()
    anonymous = scene.client(None).bucket(NEW)
    assert anonymous.test_iam_permissions(["storage.objects.get", "storage.objects.list"]) == ["storage.objects.get"]


def test_a_repeated_call_adopts_the_bucket_with_no_mutating_request(scene: GcsScene) -> None:
    settings = {"retention_days": 30, "versioning_enabled": True, "storage_class": "NEARLINE"}
    keeper(scene, **settings).bring()
    before = scene.writes
    assert keeper(scene, **settings).plan() == []
    assert keeper(scene, **settings).bring().changes == ()
    assert scene.writes == before


def test_settings_are_brought_to_what_is_configured(scene: GcsScene) -> None:
    keeper(scene).bring()
    changed = {"retention_days": 30, "versioning_enabled": True, "lifecycle_delete_age_days": 400}
    said = {change.what: change.detail for change in keeper(scene, **changed).bring().changes}
    assert said == {
        "versioning": "False -> True",
        "deletion by age, days": "[] -> [400]",
        "retention, days": "0 -> 30",
    }
    bucket = scene.client().get_bucket(NEW)
    assert (bucket.retention_period, bucket.versioning_enabled) == (30 * 86400, True)
    assert [rule["condition"]["age"] for rule in bucket.lifecycle_rules] == [400]


def test_a_rule_that_would_remove_records_is_taken_out_and_other_rules_stay(scene: GcsScene) -> None:
    keeper(scene).bring()
    bucket = scene.client().get_bucket(NEW)
    bucket.add_lifecycle_delete_rule(age=30)
    bucket.add_lifecycle_abort_incomplete_multipart_upload_rule(age=7)
    bucket.patch()
    assert [change.detail for change in keeper(scene).bring().changes] == ["[30] -> []"]
    kept = [rule["action"]["type"] for rule in scene.client().get_bucket(NEW).lifecycle_rules]
    assert kept == ["AbortIncompleteMultipartUpload"]


def test_a_longer_retention_and_a_wider_grant_stay_as_their_owner_made_them(scene: GcsScene) -> None:
    # The scene's own bucket: readers may list there, too.
    bucket = scene.client().get_bucket(BUCKET)
    bucket.retention_period = 365 * 86400
    bucket.patch()
    before = held(scene, BUCKET)
    keeper(scene, bucket_name=BUCKET, location="EU", retention_days=30).bring()
    assert scene.client().get_bucket(BUCKET).retention_period == 365 * 86400
    assert held(scene, BUCKET) == before | PUBLISHING


def test_prevented_public_access_is_lifted_only_where_public_read_is_wanted(scene: GcsScene) -> None:
    def prevented(name: str) -> str:
        return scene.client().get_bucket(name).iam_configuration.public_access_prevention

    keeper(scene, public_read=False).bring()
    bucket = scene.client().get_bucket(NEW)
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    assert keeper(scene, public_read=False).plan() == []
    assert [change.what for change in keeper(scene).bring().changes] == ["public access prevention", "allUsers"]
    assert prevented(NEW) == "inherited"
    assert held(scene) == {(READER, "allUsers")} | PUBLISHING


@pytest.mark.parametrize(
    "said",
    [
        "The member bindings allUsers are not allowed since public access prevention is enforced.",
        "One or more users named in the policy do not belong to a permitted customer.",
        "Die Richtlinie l\u00e4sst das nicht zu.",
    ],
)
def test_a_forbidden_policy_is_recognised_by_an_unchanged_one_not_by_the_wording(scene: GcsScene, said: str) -> None:
    scene.fault("PUT", POLICY, Answer(412, "conditionNotMet", said), *range(1, 20))
    with pytest.raises(
        NotPublic, match=re.escape(f"may not name allUsers: could not write the policy of gs://{NEW}: ")
    ) as refused:
        keeper(scene).bring()
    assert said in refused.value.message
    assert "constraints/storage.publicAccessPrevention" in refused.value.hint


def test_a_bucket_of_another_project_is_refused_and_nothing_is_changed(scene: GcsScene) -> None:
    scene.stand_in.provide_foreign_bucket(NEW)
    before = scene.writes
    for act in (keeper(scene).plan, keeper(scene).bring):
        with pytest.raises(BucketOfOthers, match=f"gs://{NEW} is not a bucket of project hyops-lab"):
            act()
    assert scene.writes == before


def test_a_bucket_that_others_let_us_see_is_not_ours(scene: GcsScene) -> None:
    scene.stand_in.provide_foreign_bucket(NEW)
    viewer = [{"role": "roles/storage.admin", "members": [f"serviceAccount:{scene.email('owner')}"]}]
    scene.stand_in.bucket_policy(NEW, {"bindings": viewer})
    before = scene.writes
    with pytest.raises(BucketOfOthers):
        keeper(scene).bring()
    assert scene.writes == before


def test_a_bucket_stays_where_it_was_created(scene: GcsScene) -> None:
    keeper(scene).bring()
    with pytest.raises(BucketFixed, match="is in EU; the inputs want US") as refused:
        keeper(scene, location="us").plan()
    assert "set location to EU" in refused.value.hint


def test_the_account_that_publishes_may_not_administer(scene: GcsScene) -> None:
    keeper(scene).bring()
    with pytest.raises(NotPermitted) as refused:
        keeper(scene, scene.client("publisher")).bring()
    assert "roles/storage.admin in project hyops-lab" in refused.value.hint


def test_a_project_of_others_is_refused(scene: GcsScene) -> None:
    with pytest.raises(NotPermitted, match="another-project"):
        keeper(scene, project_id="another-project").bring()
    assert NEW not in [bucket.name for bucket in scene.client().list_buckets()]


@pytest.mark.parametrize(
    "said", ["Service account {email} does not exist.", "Unbekanntes Konto\x1b[2J\n  next: {email}"]
)
def test_an_account_that_does_not_exist_is_named_with_the_command_that_creates_it(scene: GcsScene, said: str) -> None:
    email = wanted().service_account_email
    scene.fault("PUT", POLICY, Answer(400, "invalid", said.format(email=email)), 2)
    brought = keeper(scene).bring()
    assert held(scene) == {(READER, "allUsers")}
    assert brought.pending[0].isprintable()
    assert brought.pending[0].startswith(f"{email} was given no right (")
    assert brought.pending[0].endswith(
        "gcloud iam service-accounts create objectrepo --project=hyops-lab --display-name='Object Repository'"
    )
    again = keeper(scene).bring()
    assert (len(again.changes), again.pending) == (2, ())
    assert held(scene) == {(READER, "allUsers")} | PUBLISHING


@pytest.mark.parametrize(("method", "path"), [("POST", "/storage/v1/b"), ("PUT", POLICY)], ids=["creation", "policy"])
def test_an_answer_that_was_lost_leaves_one_bucket_with_each_grant_once(
    scene: GcsScene, method: str, path: str
) -> None:
    scene.fault(method, path, DropAfterCommit())
    keeper(scene).bring()
    assert held(scene) == {(READER, "allUsers")} | PUBLISHING
    assert keeper(scene).plan() == []


def test_a_policy_that_another_client_keeps_changing_is_given_up_on(
    scene: GcsScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Bucket.get_iam_policy

    def read_and_changed(bucket: Bucket, **named: Any) -> Any:
        policy = read(bucket, **named)
        bucket.set_iam_policy(read(bucket, **named))
        return policy

    monkeypatch.setattr(Bucket, "get_iam_policy", read_and_changed)
    with pytest.raises(Unavailable, match="being changed by someone else"):
        keeper(scene).bring()


def test_a_change_between_look_and_write_is_seen_and_kept(scene: GcsScene) -> None:
    keeper(scene).bring()
    scene.fault("PATCH", f"/storage/v1/b/{NEW}", Answer(412, "conditionNotMet", "pre-conditions did not hold"))
    assert [change.what for change in keeper(scene, versioning_enabled=True).bring().changes] == ["versioning"]
    assert scene.client().get_bucket(NEW).versioning_enabled
