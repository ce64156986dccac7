"""A release appears in the feed of a live daemon: how long its template and image take beyond the work itself."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import dagster as dg

from benchmarks.comparison import Comparison
from benchmarks.waits import Ran, waits
from hyops_assets.contract.layout import RuntimeRoot, runtime_root
from hyops_assets.contract.version import iso_file_name
from hyops_assets.jobs import build_record
from hyops_assets.seeds.partitions import CLOUDS
from hyops_lab import feed
from hyops_lab.cli.lab import SITE
from hyops_lab.ensemble import LabFiles
from hyops_lab.grub_modules import lab_cache
from hyops_lab.iso_layout import built_at
from hyops_lab.signing import LabKey
from resources.settings import load_settings
from sensors import seeds

UNTRUSTED, NEXT = "2026.03.01-0027-rolling", "2026.03.04-0027-rolling"
MOST_SECONDS = 30.0
_ENVIRONMENT = "dev"
_HYOPS = [sys.executable, "-m", "hyops_assets.cli.main"]
_CHECKOUT = Path(__file__).parents[1]
_LOOK_EVERY_SECONDS = 0.5

Found = TypeVar("Found")


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Have `hyops dev` find a release by itself, in an empty home, and read in its event log what it waited for.

    The first release has a signature of an untrusted key, so that its run fails at once. It is all that a quick run
    waits for; else the look-alike follows, which boots under both firmwares and is seeded into both clouds.
    """
    environment = {"HOME": str(scratch), "PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(lab_cache().parents[1])}
    root = runtime_root({}, home=scratch, env=_ENVIRONMENT)
    with _lab(environment, scratch), _dev(environment, root, scratch) as instance:
        _announce_untrusted(root, scratch)
        announced = _announced(root)
        (failed,) = _until("its run failed", 300, lambda: _ended(instance, UNTRUSTED))
        if quick:
            runs = [Ran.of("build", instance, failed)]
            ended = runs[-1].steps[-1].end
        else:
            _hyops(environment, "lab", "release", NEXT)
            announced = _announced(root)
            runs, ended = _seeded(instance)
        poll_seconds = load_settings(root).feed.poll_seconds
    spent = waits(announced, ended, runs)
    yield Comparison(
        work="release in the feed to its failed build" if quick else "release in the feed to both lab sites seeded",
        against="bound on what is not the work itself",
        ours=sum(spent.values()),
        theirs=MOST_SECONDS,
        target=1,
        included=f"{ended - announced:.0f} s in all, {ended - announced - sum(spent.values()):.0f} of them in steps; "
        + ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items())
        + f"; the feed is polled every {poll_seconds} s, seeds are looked at every {seeds.INTERVAL_SECONDS}",
    )


def _seeded(instance: dg.DagsterInstance) -> tuple[list[Ran], float]:
    """Wait for both seeds; return the build and the later seed, and when that was materialized."""
    (build,) = _until("the build ended", 1800, lambda: _ended(instance, NEXT))
    materialized: dict[str, dg.EventLogRecord] = {}
    for cloud in CLOUDS:
        key = str(cloud.seed(SITE, NEXT))
        runs = _until(
            f"{key} ended in {cloud.name}", 600, lambda asset=cloud.asset, key=key: _ended(instance, key, asset)
        )
        wanted = dg.AssetRecordsFilter(asset_key=cloud.asset, asset_partitions=[key])
        (materialized[cloud.name],) = instance.fetch_materializations(wanted, limit=1).records
        if [materialized[cloud.name].run_id] != runs:
            raise AssertionError(f"{cloud.name}: runs {runs}")
    name, last = max(materialized.items(), key=lambda seed: seed[1].timestamp)
    return [Ran.of("build", instance, build), Ran.of(f"{name} seed", instance, last.run_id)], last.timestamp


def _ended(instance: dg.DagsterInstance, partition: str, asset: dg.AssetKey | None = None) -> list[str]:
    """Return the ended builds of a version, or the ended runs of a cell of an asset."""
    wanted = dg.RunsFilter(job_name=None if asset else build_record.name, tags={"dagster/partition": partition})
    runs = [run for run in instance.get_runs(wanted) if asset is None or asset in (run.asset_selection or ())]
    return [run.run_id for run in runs if run.is_finished]


def _announce_untrusted(root: RuntimeRoot, scratch: Path) -> None:
    iso = scratch / iso_file_name(UNTRUSTED)
    iso.write_bytes(b"no ISO")
    signed = LabKey.generate().sign_file(iso, file_name=iso.name, signed_at=built_at(UNTRUSTED))
    feed.publish(LabFiles(root.lab).feed, UNTRUSTED, iso, signed, built_at(UNTRUSTED))


def _announced(root: RuntimeRoot) -> float:
    """Return when the feed said what it says now."""
    return (LabFiles(root.lab).feed / feed.FEED_NAME).stat().st_mtime


def _until(what: str, within: float, ask: Callable[[], Found | None]) -> Found:
    deadline = time.monotonic() + within
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:.0f} s: {what}")
        time.sleep(_LOOK_EVERY_SECONDS)
    return answer


def _hyops(environment: Mapping[str, str], *words: str) -> None:
    command = [*_HYOPS, *words, "--env", _ENVIRONMENT]
    subprocess.run(command, cwd=_CHECKOUT, env=dict(environment), check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _lab(environment: Mapping[str, str], scratch: Path) -> Iterator[None]:
    """Have the lab up with an empty feed."""
    _hyops(environment, "lab", "up", "--release", "")
    try:
        yield
    finally:
        _hyops(environment, "lab", "down")


@contextmanager
def _dev(environment: Mapping[str, str], root: RuntimeRoot, scratch: Path) -> Iterator[dg.DagsterInstance]:
    """Run `hyops dev` as a user does, until its daemon polls; yield its instance."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*_HYOPS, "dev", "--env", _ENVIRONMENT, "--port", str(port)]
    with (scratch / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=_CHECKOUT, env=dict(environment), stdout=log, stderr=log, start_new_session=True
        )
    try:
        # Before that, it may still be making the instance's tables.
        _until("the UI answers", 180, lambda: _is_open(port))
        with dg.DagsterInstance.from_config(str(root.dagster_home)) as instance:
            _until("the daemon ticks", 180, lambda: _ticked(instance))
            yield instance
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ticked(instance: dg.DagsterInstance) -> bool:
    return any(state.instigator_data is not None for state in instance.all_instigator_state())
