"""The bucket that records are published into: looked at, created or adopted, and opened to readers.

A repeated call finds everything in place and changes nothing; a killed one is continued by the next. No object is
removed, and nothing is narrowed or locked: a grant that is wider than needed, or a retention that is longer, stays as
its owner made it; a rule that deletes objects by age is taken out. Keys are not created here at all.

Rights: `roles/storage.admin` in the project, once. Publishing needs far less (`gcs.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.api_core.iam import Policy
from google.cloud import storage

from hyops_assets.contract.errors import Refused
from hyops_assets.settings.object_repo import ObjectRepoInputs, create_account
from resources.repository.base import NotPublic
from resources.repository.gcs_bucket_settings import Change, differing, note_wanted
from resources.repository.gcs_errors import NotPermitted, NotThere, NotUnderstood, Taken, Unavailable, asked
from resources.repository.gcs_upload import Patience

READER = "roles/storage.legacyObjectReader"
"""What anonymous readers get: to read an object whose name they know. `objectViewer` would let them list besides."""

PUBLISHER = ("roles/storage.objectCreator", "roles/storage.objectViewer")
"""What the publishing account gets: to add objects and to see which are there; not to replace or remove any."""

EVERYONE = "allUsers"
_OPEN_ENOUGH = {READER, "roles/storage.objectViewer"}
_ATTEMPTS = 4
_LABELS = {"hyops_managed_by": "hyops", "hyops_role": "object-repo"}


class BucketOfOthers(Refused):
    """The bucket's name is taken in another project, or by people who do not let us see it."""


class BucketFixed(Refused):
    """The bucket has a property that no bucket can change."""


@dataclass(frozen=True)
class Brought:
    """A bucket that is as wanted.

    Attributes:
        location: where it is, as the service says.
        changes: what was changed to get there; empty where everything was in place.
        pending: what could not be done yet, and the next step; empty where nothing is left.
    """

    location: str
    changes: tuple[Change, ...]
    pending: tuple[str, ...] = ()


class BucketKeeper:
    """Looks at one bucket, and brings it to what is wanted.

    Args:
        client: Google's, with the rights of someone who administers the project's storage.
        wanted: the module's inputs.
        patience: how long the service may take.
    """

    def __init__(self, client: storage.Client, wanted: ObjectRepoInputs, patience: Patience | None = None) -> None:
        self._client = client
        self._wanted = wanted
        self._call = (patience or Patience()).arguments()
        self._where = f"gs://{wanted.bucket_name}"

    def plan(self) -> list[Change]:
        """Return what `bring` would change; changes nothing.

        Raises:
            BucketOfOthers: the name is not ours to use.
            BucketFixed: the bucket is somewhere else than it should be.
            NotPermitted: the credentials may not look.
            RepositoryFailed, Unavailable: the service does not tell.
        """
        found = self._find()
        if found is None:
            wanted = self._wanted
            created = Change(
                self._where, "create", f"in {wanted.location}, {wanted.storage_class}, {wanted.project_id}"
            )
            return [created, *differing(self._unborn(), self._wanted), *self._missing_grants(Policy())]
        return [*differing(found, self._wanted), *self._missing_grants(self._policy(found))]

    def bring(self) -> Brought:
        """Create or adopt the bucket, set what differs and open it to readers.

        Raises:
            BucketOfOthers, BucketFixed: nothing was changed.
            NotPublic: the project's organisation does not let a bucket be public.
            NotPermitted: the credentials may not do this.
            RepositoryFailed, Unavailable: the service refuses or does not answer.
        """
        changes: list[Change] = []
        found = self._find()
        if found is None:
            found = self._create()
            changes.append(Change(self._where, "create", f"in {found.location}, {self._wanted.project_id}"))
        if differing_now := differing(found, self._wanted):
            self._patch(found)
            changes += differing_now
        granted, pending = self._grant(found)
        return Brought(str(found.location), (*changes, *granted), pending)

    def _find(self) -> storage.Bucket | None:
        """Return the bucket if it is this project's; None where the name is free.

        A bucket that somebody else lets us see is not ours: whose it is, only the project's own list tells without
        another of Google's services.
        """
        bucket = self._client.bucket(self._wanted.bucket_name)
        try:
            self._ask(f"look at {self._where}", lambda: bucket.reload(**self._call))
        except NotThere:
            return None
        except NotPermitted as error:
            if self._is_listed():
                raise self._as_administrator(error) from error
            raise self._others() from error
        if not self._is_listed():
            raise self._others()
        if str(bucket.location).upper() != self._wanted.location:
            raise BucketFixed(
                f"{self._where} is in {bucket.location}; the inputs want {self._wanted.location}, and a bucket stays "
                "where it was created",
                hint=f"set location to {bucket.location}, or use another bucket_name in another state instance",
            )
        return bucket

    def _is_listed(self) -> bool:
        project, name = self._wanted.project_id, self._wanted.bucket_name
        try:
            names = self._ask(
                f"list the buckets of project {project}",
                lambda: [one.name for one in self._client.list_buckets(project=project, prefix=name, **self._call)],
            )
        except NotPermitted as error:
            raise self._as_administrator(error) from error
        return name in names

    def _create(self) -> storage.Bucket:
        wanted = self._wanted
        bucket = self._unborn()
        note_wanted(bucket, wanted)
        bucket.labels = _LABELS
        try:
            self._ask(
                f"create {self._where}",
                lambda: self._client.create_bucket(
                    bucket, project=wanted.project_id, location=wanted.location, **self._call
                ),
            )
        except Taken as error:
            # Another run was faster, the answer to our own success was lost, or the name is somebody else's.
            found = self._find()
            if found is None:
                raise self._others() from error
            return found
        except NotPermitted as error:
            raise self._as_administrator(error) from error
        return bucket

    def _unborn(self) -> storage.Bucket:
        """Return a bucket with the settings that a new one has at the service."""
        bucket = self._client.bucket(self._wanted.bucket_name)
        bucket.storage_class = self._wanted.storage_class
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        return bucket

    def _patch(self, found: storage.Bucket) -> None:
        for _ in range(_ATTEMPTS):
            note_wanted(found, self._wanted)
            metageneration = found.metageneration
            try:
                self._ask(
                    f"set up {self._where}",
                    lambda seen=metageneration: found.patch(if_metageneration_match=seen, **self._call),
                )
            except Taken:
                # Someone changed the bucket since it was read: read it again.
                self._ask(f"look at {self._where}", lambda: found.reload(**self._call))
                continue
            except NotPermitted as error:
                raise self._as_administrator(error) from error
            return
        raise Unavailable(f"{self._where} is being changed by someone else", hint="run again")

    def _missing_grants(self, policy: Policy) -> list[Change]:
        held = {(role, member) for role, members in _plain_bindings(policy) for member in members}
        publisher = f"serviceAccount:{self._wanted.service_account_email}"
        changes: list[Change] = []
        if self._wanted.public_read and not any((role, EVERYONE) in held for role in _OPEN_ENOUGH):
            changes.append(Change(EVERYONE, "grant", READER))
        return changes + [Change(publisher, "grant", role) for role in PUBLISHER if (role, publisher) not in held]

    def _policy(self, found: storage.Bucket) -> Policy:
        # Version 3 is the one that shows conditions; written back as it was read, they stay.
        try:
            return self._ask(
                f"read the policy of {self._where}",
                lambda: found.get_iam_policy(requested_policy_version=3, **self._call),
            )
        except NotPermitted as error:
            raise self._as_administrator(error) from error

    def _grant(self, found: storage.Bucket) -> tuple[list[Change], tuple[str, ...]]:
        """Give everyone and the publishing account what they lack; return what was given and what has to wait."""
        everyone = self._add(found, lambda one: one.what == EVERYONE)
        try:
            return everyone + self._add(found, lambda one: one.what != EVERYONE), ()
        except NotUnderstood as error:
            # The policy is the one that was read, and the account is all that was added to it.
            said = error.message
        # The storage API cannot create accounts; the bucket is ready but for the right to add to it.
        email = self._wanted.service_account_email
        waits = f"{email} was given no right ({said}); if it does not exist, create it, then apply again: "
        return everyone, (waits + create_account(self._wanted),)

    def _add(self, found: storage.Bucket, chosen: Callable[[Change], bool]) -> list[Change]:
        """Add what is missing to the bucket's policy; return it.

        A policy that somebody changed in between and one that may not be are refused with the same status; what tells
        them apart is whether it changed.
        """
        read: set[Any] = set()
        refused: Taken | None = None
        missing = ""
        for _ in range(_ATTEMPTS):
            policy = self._policy(found)
            read.add(policy.etag)
            grants = [one for one in self._missing_grants(policy) if chosen(one)]
            if not grants:
                return []
            missing = ", ".join(sorted({one.what for one in grants}))
            policy.bindings = [*policy.bindings, *({"role": one.detail, "members": {one.what}} for one in grants)]
            try:
                self._ask(
                    f"write the policy of {self._where}", lambda new=policy: found.set_iam_policy(new, **self._call)
                )
            except Taken as error:
                refused = error
                continue
            except NotPermitted as error:
                raise self._as_administrator(error) from error
            return grants
        if refused is not None and len(read) == 1:
            raise NotPublic(
                f"the policy of {self._where} may not name {missing}: {refused.message}",
                hint="an organisation policy may prevent it (constraints/storage.publicAccessPrevention, "
                "constraints/iam.allowedPolicyMemberDomains): have this project excepted, or publish below a "
                "public_base_url of your own",
            ) from refused
        raise Unavailable(f"the policy of {self._where} is being changed by someone else", hint="run again")

    def _ask(self, purpose: str, work: Callable[[], Any]) -> Any:
        return asked(purpose, work)

    def _others(self) -> BucketOfOthers:
        return BucketOfOthers(
            f"{self._where} is not a bucket of project {self._wanted.project_id}: the name is taken by others",
            hint="names are unique in the world: choose another, such as hyops-<env>-vyos-records-<suffix>",
        )

    def _as_administrator(self, error: NotPermitted) -> NotPermitted:
        return NotPermitted(
            error.message,
            hint=f"use credentials with roles/storage.admin in project {self._wanted.project_id}: a key in "
            "HYOPS_VYOS_GCS_SA_JSON(_FILE) comes before your own login, and the one that publishes may not do this",
        )


def _plain_bindings(policy: Policy) -> list[tuple[str, set[str]]]:
    """Return who holds which role without any condition."""
    return [(one["role"], set(one["members"])) for one in policy.bindings if not one.get("condition")]
