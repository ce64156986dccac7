"""What a bucket's settings are, next to what they should be: decided here, asked for and written by `gcs_bucket.py`.

Nothing is loosened: a retention that is longer than wanted stays. What would remove published objects is: a rule that
deletes by age is taken out where none is wanted.
"""

from dataclasses import dataclass
from typing import Any

from google.cloud.storage import Bucket
from google.cloud.storage.bucket import LifecycleRuleDelete

from hyops_assets.settings.object_repo import ObjectRepoInputs

_DAY_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Change:
    """One thing that is not as wanted. `what` is a setting or a member of the policy; `action` says what is done."""

    what: str
    action: str
    detail: str


def differing(bucket: Bucket, wanted: ObjectRepoInputs) -> list[Change]:
    """Return the settings of a bucket that have to change.

    Args:
        bucket: as it was read, or a new one with the settings that the service gives it.
        wanted: the module's inputs.
    """
    access = bucket.iam_configuration
    held_days = (bucket.retention_period or 0) / _DAY_SECONDS
    rows: list[tuple[str, object, object, bool]] = [
        ("storage class", bucket.storage_class, wanted.storage_class, bucket.storage_class != wanted.storage_class),
        ("access", "by object", "uniform", not access.uniform_bucket_level_access_enabled),
        ("public access prevention", "enforced", "inherited", _is_shut(bucket, wanted)),
        ("versioning", not wanted.versioning_enabled, wanted.versioning_enabled, _versioning_differs(bucket, wanted)),
        ("deletion by age, days", _deletion(bucket), _wanted_deletion(wanted), _deletion_differs(bucket, wanted)),
        ("retention, days", f"{held_days:g}", wanted.retention_days, held_days < wanted.retention_days),
    ]
    return [Change(what, "set", f"{former} -> {new}") for what, former, new, differs in rows if differs]


def note_wanted(bucket: Bucket, wanted: ObjectRepoInputs) -> None:
    """Note in a bucket what has to change, and nothing else: Google's client sends what was noted."""
    if bucket.storage_class != wanted.storage_class:
        bucket.storage_class = wanted.storage_class
    if not bucket.iam_configuration.uniform_bucket_level_access_enabled:
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    if _is_shut(bucket, wanted):
        bucket.iam_configuration.public_access_prevention = "inherited"
    if _versioning_differs(bucket, wanted):
        bucket.versioning_enabled = wanted.versioning_enabled
    if _deletion_differs(bucket, wanted):
        others = [rule for rule in bucket.lifecycle_rules if not _deletes_by_age(rule)]
        bucket.lifecycle_rules = [*others, *(LifecycleRuleDelete(age=days) for days in _wanted_deletion(wanted))]
    if (bucket.retention_period or 0) < wanted.retention_days * _DAY_SECONDS:
        bucket.retention_period = wanted.retention_days * _DAY_SECONDS


def _is_shut(bucket: Bucket, wanted: ObjectRepoInputs) -> bool:
    return wanted.public_read and bucket.iam_configuration.public_access_prevention == "enforced"


def _versioning_differs(bucket: Bucket, wanted: ObjectRepoInputs) -> bool:
    return bool(bucket.versioning_enabled) != wanted.versioning_enabled


def _deletion_differs(bucket: Bucket, wanted: ObjectRepoInputs) -> bool:
    return _deletion(bucket) != _wanted_deletion(wanted)


def _wanted_deletion(wanted: ObjectRepoInputs) -> list[int]:
    return [wanted.lifecycle_delete_age_days] if wanted.lifecycle_delete_age_days else []


def _deletion(bucket: Bucket) -> list[int]:
    """Return the ages, in days, at which a bucket's rules remove objects."""
    return sorted(int(rule["condition"]["age"]) for rule in bucket.lifecycle_rules if _deletes_by_age(rule))


def _deletes_by_age(rule: Any) -> bool:
    """Tell whether a lifecycle rule removes objects by their age alone, as ours does."""
    return rule.get("action") == {"type": "Delete"} and set(rule.get("condition", {})) == {"age"}
