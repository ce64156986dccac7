"""Secrets come from the environment, by name. A value is handed to the client that needs it, and to nobody else."""

import os
from collections.abc import Mapping

from hyops_assets.contract.errors import HyopsError


class MissingSecret(HyopsError):
    """The environment variable that a site names is unset or empty."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the environment variable {name} is unset or empty",
            hint=f"export {name} where the pipeline runs; the site's settings in config/pipeline.yml name it",
        )
        self.name = name


def secret(name: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the value of an environment variable, without the white space around it that a copied value brings.

    Args:
        name: the variable.
        environ: where to look; the process' environment where None.

    Raises:
        MissingSecret: unset or empty. The message holds the name, never a value.
    """
    value = (os.environ if environ is None else environ).get(name, "").strip()
    if not value:
        raise MissingSecret(name)
    return value
