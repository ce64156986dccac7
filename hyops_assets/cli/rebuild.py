"""`hyops rebuild`: the same release again, as the next free revision, with the reason in its evidence."""

import os
from contextlib import closing

from hyops_assets.cli.environment import Place
from hyops_assets.cli.graph import Graph
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.prepare import reach_environment
from hyops_assets.cli.progress import shown
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.version import RecordVersion
from resources.repository.resource import object_repository
from resources.repository.revisions import is_published, next_free_revision
from resources.settings import load_settings


def rebuild(place: Place, version: str, reason: str) -> None:
    """Build a published release again and publish it as a revision; what is published stays as it is.

    Args:
        place: the environment.
        version: a release, or a revision of it.
        reason: why; it stands in the evidence.

    Raises:
        Refused: no reason is given, or the version is not published.
        RunFailed: a step failed or a gate refused; nothing half-published is left.
    """
    if not reason.strip():
        raise Refused("a rebuild without a reason", hint='say why: --reason "the helper was mended"')
    asked = RecordVersion.parse(version)
    settings = load_settings(place.root)
    reach_environment(place, settings)
    key = settings.build.key_of(asked.release)
    with closing(object_repository(settings.repository, place.root, os.environ)) as repository:
        if not is_published(repository, key, asked):
            raise Refused(f"{key} {asked} is not published: there is nothing to rebuild", hint="build it: hyops apply")
        revision = next_free_revision(repository, key, asked)
    with shown(place.console), open_instance(place.root) as instance:
        ran = Graph(place.root, instance).build(str(revision), rebuild_reason=reason.strip())
    place.console.print(f"{revision} is published: {ran.metadata['published_contract']['evidence']}", soft_wrap=True)
