"""The miniature where a home's own commands expect a look-alike: what has no kernel goes the same way in seconds.

`hyops lab` finds it where it keeps the ISO that it made of a release. Its disk is built with the ground's settings, so
that its bytes are the ground's, and the passes of the ground's boot gates are adopted (docs/decisions/0006): a disk of
other bytes would be booted, and fail.
"""

import os
from pathlib import Path

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.build import BuildSettings
from hyops_lab.cli.lab import lookalike_place
from resources.settings import load_settings, save_settings
from tests.assets.environment import DISK_BYTES, RELEASE
from tests.assets.ground import Ground
from tests.cli.home import Home, boots_in


def cache_with_miniature(ground: Ground, directory: Path) -> Path:
    """Return an `XDG_CACHE_HOME` whose look-alike of RELEASE is the ground's miniature."""
    place = lookalike_place(RELEASE, directory / "hyops" / "lab")
    place.iso.parent.mkdir(parents=True)
    os.link(ground.miniature.iso, place.iso)
    os.link(ground.miniature.minisig, place.minisig)
    place.public_key.write_text(ground.key.public_key)
    return directory


def build_as_the_ground(home: Home, ground: Ground) -> None:
    """Edit the `pipeline.yml` that `hyops lab up` wrote, and put the boot gates' documents where they are adopted."""
    root = RuntimeRoot(home.root)
    settings = load_settings(root)
    keys = settings.feed.keys
    if all(key.public_key != ground.key.public_key for key in keys):
        keys = [*keys, ground.key.trusted_as("lab")]
    feed = settings.feed.model_copy(update={"keys": keys})
    build = BuildSettings(disk_bytes=DISK_BYTES, apt_sources=[ground.packages])
    save_settings(root, settings.model_copy(update={"feed": feed, "build": build}), heading="test")
    gates = root.artifacts / "documents" / "gates"
    for name, document in ground_boots(ground).items():
        (gates / name).parent.mkdir(parents=True)
        (gates / name).write_text(document)


def ground_boots(ground: Ground) -> dict[str, str]:
    """Return the documents of the ground's boot gates."""
    return boots_in(ground.directory / "built")
