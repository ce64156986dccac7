"""What a snapshot says about itself: the label set of a seeded image, and the description HybridOps finds it by.

Values are at most 63 characters of letters, digits, `-`, `_` and `.`, and start and end with a letter or a digit
(https://docs.hetzner.cloud/reference/cloud, "Labels"): a SHA-256 of 64 takes two labels. An update replaces the
whole set.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from hcloud.helpers.labels import LabelValidator

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.ownership import Claim, seal_of
from hyops_assets.contract.record import Record
from hyops_assets.contract.seeding import SeedRequest

MANAGED_BY = "hyops"
MAX_DESCRIPTION = 255

Role = Literal["image", "seeder"]
State = Literal["pending", "ready"]
_ROLES: dict[str, Role] = {"image": "image", "seeder": "seeder"}
_STATES: dict[str, State] = {"pending": "pending", "ready": "ready"}


class BadLabel(Refused):
    """A key, version or run id that cannot stand in a label."""


@dataclass(frozen=True)
class Labels:
    """The labels of what we make. On a `seeder` (server, SSH key) the same set tells what it was for.

    Attributes:
        role: `image` for a snapshot, `seeder` for what is deleted after the seed.
        key: record key.
        version: record version.
        disk_sha256: of the guest-visible disk.
        record_digest: of the record's identity.
        seed_id: which seed, the same for every run of it.
        run_id: the Dagster run.
        state: `pending` is written after the disk was read back, `ready` is the commit point.
        expires: epoch seconds after which a seeder is a leftover of any maker; None on what is committed.
        lab: whether a lab signed the record.
        environment: the id of the environment that made it; None where it does not say, as before such ids were.
        seal: ties that id to the seed (`contract/ownership.py`).
    """

    role: Role
    key: str
    version: str
    disk_sha256: str
    record_digest: str
    seed_id: str
    run_id: str
    state: State
    expires: int | None = None
    lab: bool = False
    environment: str | None = None
    seal: str | None = None

    @classmethod
    def of(cls, request: SeedRequest, *, role: Role, expires: int) -> Self:
        """Return the labels of a seed that has begun."""
        record = request.record
        labels = cls(
            role=role,
            key=record.key,
            version=record.version,
            disk_sha256=record.disk.sha256,
            record_digest=record.digest,
            seed_id=request.seed_id,
            run_id=request.run_id,
            state="pending",
            expires=expires,
            lab=record.lab,
        )
        return labels if request.environment is None else labels.made_by(request.environment)

    @classmethod
    def parse(cls, labels: Mapping[str, str]) -> Self | None:
        """Return the labels that are written on something of ours; None where it is not ours, or half labelled."""
        role = _ROLES.get(labels.get("hyops_role", ""))
        state = _STATES.get(labels.get("hyops_state", ""))
        if labels.get("hyops_managed_by") != MANAGED_BY or role is None or state is None:
            return None
        try:
            return cls(
                role=role,
                key=labels["hyops_image_key"],
                version=labels["hyops_image_version"],
                disk_sha256=labels["hyops_disk_sha256_hi"] + labels["hyops_disk_sha256_lo"],
                record_digest=labels["hyops_record_hi"] + labels["hyops_record_lo"],
                seed_id=labels["hyops_seed_id"],
                run_id=labels["hyops_run_id"],
                state=state,
                expires=int(labels["hyops_expires"]) if "hyops_expires" in labels else None,
                lab="hyops_lab" in labels,
                environment=labels.get("hyops_environment"),
                seal=labels.get("hyops_environment_seal"),
            )
        except (KeyError, ValueError):
            return None

    def written(self) -> dict[str, str]:
        """Return the whole set, as it is sent.

        Raises:
            BadLabel: a value that Hetzner refuses.
        """
        labels = {
            "hyops_managed_by": MANAGED_BY,
            "hyops_role": self.role,
            "hyops_image_key": self.key,
            "hyops_image_version": self.version,
            "hyops_disk_sha256_hi": self.disk_sha256[:32],
            "hyops_disk_sha256_lo": self.disk_sha256[32:],
            "hyops_record_hi": self.record_digest[:32],
            "hyops_record_lo": self.record_digest[32:],
            "hyops_seed_id": self.seed_id,
            "hyops_run_id": self.run_id,
            "hyops_state": self.state,
            **({} if self.expires is None else {"hyops_expires": str(self.expires)}),
            **({"hyops_lab": "true"} if self.lab else {}),
            **({} if self.environment is None else {"hyops_environment": self.environment}),
            **({} if self.seal is None else {"hyops_environment_seal": self.seal}),
        }
        valid, why = LabelValidator.validate_verbose(labels)
        if not valid:
            raise BadLabel(f"Hetzner takes no such label: {why}", hint="use at most 63 letters, digits, - _ and .")
        return labels

    def made_by(self, environment: str) -> Self:
        """Return the set as an environment writes it on what it makes."""
        seal = seal_of(environment, seed_id=self.seed_id, record_digest=self.record_digest)
        return replace(self, environment=environment, seal=seal)

    @property
    def claim(self) -> Claim:
        """What the labels say about whose it is."""
        return Claim(self.environment, self.seal, self.seed_id, self.record_digest, self.run_id)

    def ready(self) -> Self:
        """Return the set that commits the image."""
        return replace(self, state="ready", expires=None)

    def of_record(self, record: Record) -> bool:
        """Tell whether the image holds exactly this record: its disk, its identity, under its name."""
        return (self.key, self.version, self.disk_sha256, self.record_digest) == (
            record.key,
            record.version,
            record.disk.sha256,
            record.digest,
        )


def image_selector(record: Record) -> str:
    """Return the label selector that finds the images of a record by its content."""
    digest, disk = record.digest, record.disk.sha256
    return ",".join(
        (
            f"hyops_managed_by={MANAGED_BY}",
            "hyops_role=image",
            f"hyops_record_hi={digest[:32]}",
            f"hyops_record_lo={digest[32:]}",
            f"hyops_disk_sha256_hi={disk[:32]}",
            f"hyops_disk_sha256_lo={disk[32:]}",
        )
    )


def seeder_selector() -> str:
    """Return the label selector that finds every server and key of ours that serves a seed."""
    return f"hyops_managed_by={MANAGED_BY},hyops_role=seeder"


def description_of(record: Record) -> str:
    """Return the description by which HybridOps finds the image: `hyops-<key>-<version>`, exactly.

    Raises:
        BadLabel: longer than what is known to be accepted.
    """
    description = f"hyops-{record.key}-{record.version}"
    if len(description) > MAX_DESCRIPTION:
        raise BadLabel(f"{description!r} is longer than {MAX_DESCRIPTION} characters", hint="use a shorter record key")
    return description
