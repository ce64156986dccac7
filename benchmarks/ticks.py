"""A tick of the release sensor whose feed is unchanged: what it costs, and that history does not make it dearer."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import dagster as dg

from benchmarks.comparison import Comparison
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.definitions import build_definitions
from hyops_assets.seeds.partitions import VERSIONS
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.pipeline import Settings
from hyops_lab.authority import Authority
from hyops_lab.feed import ReleaseServer
from hyops_lab.iso_layout import built_at
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.feed.client import ReleaseFeed
from resources.settings import save_settings

MANY, FEW = 2000, 20
MOST_SECONDS = 0.5
_NEWEST = "2026.03.03-0027-rolling"


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Time ticks of a real sensor on a Dagster instance on disk, against a feed over TLS on loopback."""
    authority = Authority(scratch / "authority")
    trace = Trace(scratch / "trace.jsonl")
    server = ReleaseServer(scratch / "feed", trace, authority)
    iso = scratch / "some.iso"
    iso.write_bytes(b"iso")
    trusted = {"SSL_CERT_FILE": str(authority.bundle_file)}
    # What runs after this case must not trust a file that is gone with its scratch.
    with mock.patch.dict(os.environ, trusted), running(server):
        server.publish(_NEWEST, iso, "signature", built_at(_NEWEST))
        few, _ = _tick(scratch / "few", server, trace, FEW, times=1 if quick else 5)
        many, statuses = _tick(scratch / "many", server, trace, MANY, times=1 if quick else 5)
    yield Comparison(
        work=f"tick of an unchanged feed, {MANY} versions known",
        against="bound",
        ours=many,
        theirs=MOST_SECONDS,
        target=1,
        included=f"one conditional request over TLS; its answers: {', '.join(map(str, sorted(set(statuses))))}",
    )
    yield Comparison(
        work=f"tick of an unchanged feed, {MANY} versions known",
        against=f"the same, {FEW} known",
        ours=many,
        theirs=few,
        target=1.5,
    )


def _tick(directory: Path, server: ReleaseServer, trace: Trace, known: int, *, times: int) -> tuple[float, list[int]]:
    """Return the fastest of some unchanged ticks, in seconds, and what the feed answered to them."""
    directory.mkdir()
    root = RuntimeRoot(directory / "root")
    settings = Settings(feed=FeedSettings(urls=[server.feed_url], iso_hosts=["127.0.0.1"], github_api=None))
    save_settings(root, settings, heading="benchmark")
    definitions = build_definitions(root, settings)
    sensor = definitions.resolve_sensor_def("vyos_rolling_release")
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    older = [(begin + timedelta(days=day)).strftime("%Y.%m.%d-%H%M-rolling") for day in range(known)]
    with dg.DagsterInstance.local_temp(str(directory)) as instance:
        instance.add_dynamic_partitions(str(VERSIONS.name), older)
        cursor: str | None = None
        seconds: list[float] = []
        statuses: list[int] = []
        for number in range(times + 1):
            before, start = len(trace.requests()), time.perf_counter()
            context = dg.build_sensor_context(
                instance=instance,
                cursor=cursor,
                definitions=definitions,
                resources={"feed": ReleaseFeed(settings.feed)},
            )
            result = sensor(context)
            if number:
                seconds.append(time.perf_counter() - start)
            assert isinstance(result, dg.SensorResult)
            cursor = result.cursor
            statuses = [request.status for request in trace.requests()[before:]]
        return min(seconds), statuses
