"""Names that settings and inputs are made of, as types that refuse what is none."""

from typing import Annotated

from pydantic import StringConstraints

from hyops_assets.contract.version import KEY_PATTERN

SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
RecordKey = Annotated[str, StringConstraints(pattern=rf"^{KEY_PATTERN.pattern}$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
