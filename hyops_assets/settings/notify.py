"""Who is notified of a failed run, in `pipeline.yml`."""

from pydantic import Field

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import EnvironmentName


class NotifySettings(Frozen):
    """Where failed runs are reported, besides the log."""

    webhook_env: EnvironmentName | None = Field(
        default=None,
        description="the variable that holds the URL of a webhook, which gets JSON; such a URL is a secret itself",
    )
