"""The Dagster instance of an environment: one for the UI, the daemon and the shell."""

import os
from pathlib import Path

import dagster as dg
from filelock import FileLock

from hyops_assets.assets.run_liveness import fail_killed_runs
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.dagster_gaps import instance_of
from hyops_assets.seeds.partitions import CLOUDS
from resources.environment_id import ensure_environment_id
from resources.settings import make_private

_ONE_AT_A_TIME = """\
      - key: "{tag}"
        value: {{applyLimitPerUniqueValue: true}}
        limit: 1
"""
DAGSTER_YAML = f"""\
# Written by hyops; edit freely, it is not written again.
telemetry:
  enabled: false
concurrency:
  runs:
    # Each run is a process of 200 to 250 MB; hyops seed runs many seeds in one.
    max_concurrent_runs: 4
    tag_concurrency_limits:
      # One seed at a time per site.
{"".join(_ONE_AT_A_TIME.format(tag=cloud.site_tag) for cloud in CLOUDS)}\
      # Two cores boot one disk at a time.
      - key: "hyops/build"
        limit: 1
run_queue:
  # What is queued waits for a look at the queue twice between release and image: Dagster's own pace is 5 s.
  dequeue_interval_seconds: 1
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
run_retries:
  enabled: false
"""

_PRINTED_ONLY = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
"""Dagster's log manager that copies nothing, as a `dagster.yaml` names it."""


def prepare_instance(root: RuntimeRoot, home: Path | None = None) -> Path:
    """Create the instance's directory, its `dagster.yaml` and the environment's id where they are missing.

    Returns:
        The directory.
    """
    home = home or root.dagster_home
    make_private(home, below=root.path)
    ensure_environment_id(root)
    configuration = home / "dagster.yaml"
    if not configuration.exists():
        configuration.write_text(DAGSTER_YAML)
    # Without this, a "join the community" dialog covers every fresh UI.
    seen = home / ".nux" / "nux.yaml"
    if not seen.exists():
        seen.parent.mkdir(exist_ok=True)
        seen.write_text("seen: 1\n")
    return home


def environment_of(root: RuntimeRoot) -> dict[str, str]:
    """Return what Dagster's own processes need to find this environment."""
    return {
        "DAGSTER_HOME": str(root.dagster_home),
        "HYOPS_RUNTIME_ROOT": str(root.path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def open_instance(root: RuntimeRoot, home: Path | None = None) -> dg.DagsterInstance:
    """Open the environment's instance for a shell, creating it first; runs whose process was killed are marked failed.

    Args:
        root: of the environment.
        home: the instance's directory, where it is not the one that the UI and the shell share.

    What its steps print goes to the shell alone, not into the UI as well: to copy it, Dagster puts a `tail` between
    each step and the terminal, which prints late, may lose the last lines, and answers Ctrl-C with a traceback of its
    own (dagster-io/dagster#23336). The event log has everything.
    """
    home = prepare_instance(root, home)
    os.environ.update(environment_of(root))
    # The first one makes the databases: two at once leave tables of which Dagster can use none.
    with FileLock(home / ".opening.lock"):
        instance = instance_of(home, {"compute_logs": _PRINTED_ONLY})
    fail_killed_runs(instance)
    return instance
