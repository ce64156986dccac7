"""`hyops drift`: whether what was seeded and published still stands, as the checks in the UI see it."""

import os
import time
from contextlib import closing

from rich.table import Table

from hyops_assets.checks.drift import Drift, anything_left, drift_at, drift_of_published
from hyops_assets.cli.environment import Place
from hyops_assets.cli.prepare import reach_environment
from hyops_assets.cli.progress import busy
from hyops_assets.contract.quantity import quantity
from hyops_assets.seeds.partitions import CLOUDS
from resources.artifacts.store import ArtifactStore
from resources.repository.resource import object_repository
from resources.settings import load_settings
from resources.states.store import StateStore


def run_drift(place: Place) -> int:
    """Look, print every difference and what to do about it, and return the exit status: 1 where there is one.

    Raises:
        SettingsError: `pipeline.yml` does not validate.
    """
    settings, store = load_settings(place.root), ArtifactStore(place.root.artifacts)
    reach_environment(place, settings)
    repository = object_repository(settings.repository, place.root, os.environ)
    with busy(place.console, "drift", ends=False), closing(repository):
        found: list[Drift] = [
            *(one for cloud in CLOUDS for one in drift_at(cloud, settings, store, cloud.spec.open(settings))),
            *drift_of_published(settings, store, repository, now=time.time()),
        ]
    differing = [one for one in found if not one.others]
    table = Table(title=quantity(len(differing), "difference"), title_justify="left")
    for heading in ("where", "what", "expected", "found"):
        table.add_column(heading, overflow="fold")
    for one in differing:
        table.add_row(one.where, one.what, one.expected, one.found)
    left = anything_left(store) or any(True for _ in StateStore(place.root).list())
    stands = "everything stands as it was left" if left else "nothing was published or seeded here yet"
    place.console.print(table if differing else stands)
    for one in found:
        if one.others:
            place.console.print(f"{one.where}: {one.what}: {one.found}")
    for mend in dict.fromkeys(one.mend for one in differing):
        place.console.print(f"next: {mend}", soft_wrap=True)
    return 1 if differing else 0
