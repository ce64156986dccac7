"""`org/gcp/object-repo`: the bucket that records are published into."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from hyops_assets.cli.check import Check
from hyops_assets.cli.modules.work import Done, Intended, Work
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState
from hyops_assets.contract.urls import Url
from hyops_assets.settings.object_repo import (
    DEFAULT_REPOSITORY_INSTANCE,
    ObjectRepoInputs,
    create_key,
    held_bucket,
    repository_outputs,
)
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.repository import RepositorySettings

if TYPE_CHECKING:
    from resources.repository.gcs_bucket import BucketKeeper


class RefusedRename(Refused):
    """A state slot's bucket is the slot's for good: what was published lies in it."""


def instance(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str:
    """Return the instance that was asked for: one for each bucket; the document's own where none was."""
    return asked or DEFAULT_REPOSITORY_INSTANCE


def plan(work: Work) -> list[Intended]:
    """Say what would be created, set and granted.

    Raises:
        RefusedRename: the slot has another bucket.
        BucketOfOthers, BucketFixed: the bucket cannot be the one that is wanted.
        HyopsError: the service does not tell.
    """
    inputs = _inputs(work)
    refuse(work)
    with _keeper(inputs) as keeper:
        changes = [Intended(change.what, change.action, change.detail) for change in keeper.plan()]
    return changes or [Intended(f"gs://{inputs.bucket_name}", "adopt", "everything is in place")]


def apply(work: Work) -> Done:
    """Create or adopt the bucket, and name it in the state.

    Raises:
        RefusedRename: the slot has another bucket.
        BucketOfOthers, BucketFixed: nothing was changed.
        NotPublic: the bucket cannot be opened to readers.
        HyopsError: the service refuses or does not answer.
    """
    inputs = _inputs(work)
    refuse(work)
    with _keeper(inputs) as keeper:
        brought = keeper.bring()
    console = work.place.console
    for change in brought.changes:
        console.print(f"  {change.action:<8} {change.what}: {change.detail}", markup=False)
    if not brought.changes:
        console.print(f"  adopted  gs://{inputs.bucket_name}: everything was in place", markup=False)
    # A key is created by its user alone; it enters neither a state nor a log.
    steps = (*brought.pending, f"a key, where there is none: {_key_hint(inputs)}")
    for step in steps:
        console.print(f"  next     {step}", markup=False)
    return Done(
        driver={
            "changes": [f"{change.action} {change.what}: {change.detail}" for change in brought.changes],
            "pending": list(brought.pending),
        },
        outputs=repository_outputs(inputs, location=brought.location, lab=_of_lab(work, inputs)),
    )


def refuse(work: Work) -> None:
    """Refuse another bucket than the slot has, before anything is touched.

    Raises:
        RefusedRename: the slot has another bucket.
    """
    require_same_bucket(work.ref, work.states.find(work.ref), _inputs(work).bucket_name)


def checks(work: Work) -> list[Check]:
    """Return whether the slot is this bucket's, and whether the bucket can be looked at."""
    try:
        intended = plan(work)
    except HyopsError as error:
        return [Check.of("repository", error)]
    return [Check("repository", "ok", "; ".join(f"{one.action} {one.what}" for one in intended))]


def require_same_bucket(ref: StateRef, former: ModuleState | None, bucket: str) -> None:
    """Refuse another bucket in a slot that has one.

    Raises:
        RefusedRename: it has another one.
    """
    held = held_bucket(former.outputs) if former else None
    if held not in (None, bucket):
        raise RefusedRename(
            f"refusing bucket rename for existing state slot {ref}: it has {held}, the inputs say {bucket}",
            hint="apply the new bucket in a slot of its own: --state-instance <name>",
        )


@contextmanager
def _keeper(inputs: ObjectRepoInputs) -> Iterator["BucketKeeper"]:
    # Google's libraries take a second to load: only for who asks the service.
    from resources.repository.gcs_bucket import BucketKeeper
    from resources.repository.gcs_clients import connected

    settings = RepositorySettings(
        kind="gcs", bucket=inputs.bucket_name, project=inputs.project_id, endpoint=inputs.endpoint or None
    )
    with closing(connected(settings, os.environ)) as client:
        yield BucketKeeper(client, inputs)


def _of_lab(work: Work, inputs: ObjectRepoInputs) -> bool:
    """Tell whether a lab serves the bucket: what a lab signed may go there, and nowhere else."""
    return work.settings.lab and bool(inputs.endpoint) and Url.parse(inputs.endpoint).host == "127.0.0.1"


def _key_hint(inputs: ObjectRepoInputs) -> str:
    return create_key(inputs.service_account_email, inputs.project_id)


def _inputs(work: Work) -> ObjectRepoInputs:
    if not isinstance(work.inputs, ObjectRepoInputs):
        raise TypeError(type(work.inputs).__name__)
    return work.inputs
