"""What may be asked of one seed of a snapshot: inputs of `core/hetzner/vyos-image-seed`."""

from typing import Annotated

from pydantic import Field, StringConstraints

from hyops_assets.contract.inputs import IMAGE_REF, SEED_LOCATION, SEED_SERVER_TYPE
from resources.sites.base import PaidSeed


class ImageSeedConfig(PaidSeed):
    """What is asked besides which record."""

    image_ref: Annotated[str, StringConstraints(pattern=IMAGE_REF)] = Field(
        default="", description="id or description of the snapshot that has to hold the record"
    )
    seed_if_missing: bool = Field(default=True, description="make it where there is none")
    seed_location: Annotated[str, StringConstraints(pattern=SEED_LOCATION)] = Field(
        default="", description="of the server that writes"
    )
    seed_server_type: Annotated[str, StringConstraints(pattern=SEED_SERVER_TYPE)] = Field(
        default="", description="of the server that writes"
    )

    @property
    def may_create(self) -> bool:
        """Whether a snapshot is made where none holds the record."""
        return self.seed_if_missing and not self.image_ref
