"""Hetzner Cloud's row: a published record as a snapshot in a project. No client is loaded before a site is asked."""

from typing import TYPE_CHECKING

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.superseding import IMAGES
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import HetznerSite
from resources.sites.base import CloudSpec, Places
from resources.sites.hetzner.options import PaidSnapshot
from resources.sites.trial import Trial

if TYPE_CHECKING:
    import dagster as dg


def _open(settings: Settings) -> Places:
    from resources.sites.hetzner.resource import HetznerProjects

    return HetznerProjects(settings)


def _resource() -> "dg.ResourceDefinition":
    from resources.sites.hetzner.resource import hetzner_sites

    return hetzner_sites()


def _trial(settings: Settings, name: str) -> Trial:
    from resources.sites.hetzner.trial import hetzner_trial

    return hetzner_trial(settings, name)


def _missing(ref: str) -> HyopsError:
    from resources.sites.hetzner.errors import MissingImage

    return MissingImage(f"the project has no snapshot {ref!r}", hint="seed the record again; it was deleted")


HETZNER = CloudSpec(
    name="hetzner",
    asset="hetzner_image",
    description="The record's raw.xz as a snapshot in a Hetzner Cloud project, found by digest or written and read "
    "back.\n\nA snapshot that is ready and carries this record's digest is adopted without a mutating call.",
    word="image",
    noun="snapshot",
    whole="project",
    thing="snapshot",
    things="snapshots",
    site=HetznerSite,
    options=PaidSnapshot,
    words=IMAGES,
    environment_output="image_environment",
    takes="raw.xz",
    answer="image",
    stands="Every snapshot that a seed left is there, unchanged, protected where the site protects, and the only one.",
    missing=_missing,
    open=_open,
    resource=_resource,
    trial=_trial,
)
