"""`core/shared/vyos-image-build`: one release becomes a published record."""

from hyops_assets.cli.modules.build_outlook import build_inputs, require_public_repository
from hyops_assets.cli.modules.in_graph import done, graph_of
from hyops_assets.cli.modules.work import Done, Work


def apply(work: Work) -> Done:
    """Build and publish, or take over a disk that was built elsewhere.

    Raises:
        Refused: the record key is not this environment's for the release.
        NotPublic: anonymous readers cannot read the repository.
        RunFailed: a step failed or a gate refused.
    """
    inputs = build_inputs(work)
    # Found at the first minute, not when a disk is built for it.
    if not inputs.publish_command:
        require_public_repository(work)
    with graph_of(work) as graph:
        if inputs.record_url or inputs.record_local_path:
            return done(
                graph.adopt(
                    inputs.record_version,
                    url=inputs.record_url,
                    path=inputs.record_local_path,
                    sha256=inputs.record_sha256,
                )
            )
        return done(
            graph.build(
                inputs.record_version,
                source_iso_url=inputs.source_iso_url,
                rebuild_if_exists=inputs.rebuild_if_exists,
            )
        )
