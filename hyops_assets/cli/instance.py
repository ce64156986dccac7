"""The Dagster instance of an environment: one for the UI, the daemon and the shell."""

import os
import socket
from pathlib import Path

import dagster as dg

from hyops_assets.contract.layout import RuntimeRoot
from resources.settings import make_private

DAGSTER_YAML = """\
# Written by hyops; edit freely, it is not written again.
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 8
    tag_concurrency_limits:
      # One seed at a time per site.
      - key: "dagster/partition/proxmox_site"
        value: {applyLimitPerUniqueValue: true}
        limit: 1
      - key: "dagster/partition/hetzner_site"
        value: {applyLimitPerUniqueValue: true}
        limit: 1
      # Two cores boot one disk at a time.
      - key: "hyops/build"
        limit: 1
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
run_retries:
  enabled: false
"""

PROCESS_TAG = "hyops/process"
"""Which process of which host executes a run that a shell started: how its death is noticed."""


def prepare_instance(root: RuntimeRoot) -> Path:
    """Create the instance's directory and its `dagster.yaml` where they are missing; return the directory."""
    home = root.dagster_home
    make_private(home, below=root.path)
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


def open_instance(root: RuntimeRoot) -> dg.DagsterInstance:
    """Open the environment's instance, creating it first; runs whose shell died are marked failed."""
    home = prepare_instance(root)
    os.environ.update(environment_of(root))
    instance = dg.DagsterInstance.from_config(str(home))
    _fail_dead_runs(instance)
    return instance


def process_tag() -> dict[str, str]:
    """Return the tag that says which process executes a run."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"}


def _fail_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark the runs that a killed shell left as started: nobody else will ever end them."""
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    for run in instance.get_runs(unfinished):
        host, _, process = run.tags.get(PROCESS_TAG, "").partition(":")
        pid, _, started = process.partition(":")
        if host == socket.gethostname() and _started(int(pid)) != started:
            instance.report_run_failed(run, "The shell that executed this run was killed; apply again to resume.")


def _started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot: a pid alone may have been given to another."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "ended"
    return stat.rsplit(")", 1)[1].split()[19]
