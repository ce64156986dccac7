"""The runtime root of one environment: where HyOps keeps what. Paths only; nothing is created here.

`~/.hybridops/envs/<env>`, as HybridOps lays it out (directories 0700, files 0600).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import Refused

_ENV_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}")


@dataclass(frozen=True)
class RuntimeRoot:
    """The directory of one environment and the rooms in it."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """`pipeline.yml`: feed, repository, sites, policies."""
        return self.path / "config" / "pipeline.yml"

    @property
    def environment_id_file(self) -> Path:
        """The id of this environment, beside its settings and not in them: docs/decisions/0022."""
        return self.path / "config" / "environment-id"

    @property
    def states(self) -> Path:
        """Module states, read by `jq` in the source document's verification commands."""
        return self.path / "state" / "modules"

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance that the UI and the shell share."""
        return self.path / "dagster"

    @property
    def artifacts(self) -> Path:
        """The content-addressed store of everything up to both records."""
        return self.path / "work" / "artifacts"

    @property
    def repository(self) -> Path:
        """The object repository of an environment that configures none."""
        return self.path / "work" / "repository"

    @property
    def lab(self) -> Path:
        """State of the local stand-ins."""
        return self.path / "work" / "lab"

    @property
    def handed_over(self) -> Path:
        """What `hyops apply` leaves for a run in private, and the key that proves it."""
        return self.path / "work" / "handed-over"

    @property
    def acceptance_home(self) -> Path:
        """The Dagster instance of acceptance runs: what they seed is removed, and must not count as seeded."""
        return self.path / "work" / "acceptance"

    @property
    def run_records(self) -> Path:
        """One directory per module run."""
        return self.path / "logs" / "module"


def runtime_root(
    environ: Mapping[str, str], *, home: Path, root: Path | None = None, env: str | None = None
) -> RuntimeRoot:
    """Find the runtime root: `root` or `env`, then `$HYOPS_RUNTIME_ROOT`, then `$HYOPS_ENV`, then `dev`.

    What stands on the command line wins over what was exported: docs/decisions/0014.

    Raises:
        Refused: both `root` and `env` are given, or the environment's name is not one.
    """
    if root is not None and env is not None:
        raise Refused("--root and --env exclude each other", hint="give one of them")
    if root is None and env is None and environ.get("HYOPS_RUNTIME_ROOT"):
        root = Path(environ["HYOPS_RUNTIME_ROOT"])
    if root is not None:
        return RuntimeRoot(root.expanduser().absolute())
    name = env or environ.get("HYOPS_ENV") or "dev"
    if not _ENV_NAME.fullmatch(name):
        raise Refused(f"{name!r} is not an environment name", hint="use letters, digits, - and _, such as dev")
    return RuntimeRoot(environments(home) / name)


def environments(home: Path) -> Path:
    """Return the directory that holds a user's environments, each by its name."""
    return home / ".hybridops" / "envs"
