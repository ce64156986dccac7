"""What an operator may say of one build in a run's configuration: nothing of it has power (docs/decisions/0019)."""

from pydantic import Field

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.run_config_types import OptionalDigest, PublicUrl


class BuildOptions(Frozen):
    """Options of one build. The path of a disk on this host is not among them: it is handed over."""

    record_url: PublicUrl = Field(
        default="", description="a disk that was built elsewhere, to be taken over: https URL of its qcow2 or raw.xz"
    )
    record_sha256: OptionalDigest = Field(default="", description="of that file; required with record_url")
    rebuild_if_exists: bool = Field(
        default=False, description="build again what is not published yet; a published version is never replaced"
    )
