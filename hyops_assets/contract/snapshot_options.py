"""What an operator may say of one seed of a snapshot, under HybridOps' names.

Which record it holds is not among it: that is found by digest, and no option makes an old disk pass for a new one.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import number_as_text

_IMAGE_REF = r"^([A-Za-z0-9][A-Za-z0-9._:@/-]{0,126})?$"
_LOCATION = r"^([a-z0-9][a-z0-9-]{1,31})?$"
_SERVER_TYPE = r"^([a-z][a-z0-9-]{1,31})?$"
"""What may name a snapshot, a location and a server type of Hetzner Cloud; or nothing."""


class SnapshotOptions(Frozen):
    """Options of one snapshot. Unset, the site's settings count."""

    image_ref: Annotated[str, BeforeValidator(number_as_text)] = Field(
        default="",
        pattern=_IMAGE_REF,
        description="id or description of the snapshot that has to hold the record; then none is made",
    )
    seed_if_missing: bool = Field(default=True, description="make the snapshot where none holds the record")
    seed_location: str = Field(
        default="",
        pattern=_LOCATION,
        description="of the server that writes; the site's locations where empty",
    )
    seed_server_type: str = Field(
        default="",
        pattern=_SERVER_TYPE,
        description="of that server; the smallest and cheapest on offer where empty",
    )
