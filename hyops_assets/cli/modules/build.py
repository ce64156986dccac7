"""`core/shared/vyos-image-build`: one release becomes a published record."""

from hyops_assets.cli.modules.in_graph import done, graph_of
from hyops_assets.cli.modules.work import Check, Done, Intended, Work
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.inputs import BuildInputs
from hyops_assets.contract.version import RecordVersion


def plan(work: Work) -> list[Intended]:
    """Say what building would do."""
    _inputs(work)
    return []


def apply(work: Work) -> Done:
    """Build and publish, or take over a disk that was built elsewhere.

    Raises:
        Refused: the record key is not this environment's for the release.
        RunFailed: a step failed or a gate refused.
    """
    inputs = _inputs(work)
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


def checks(work: Work) -> list[Check]:
    """Return what a build needs on this host and at the repository."""
    return []


def _inputs(work: Work) -> BuildInputs:
    inputs = work.inputs
    if not isinstance(inputs, BuildInputs):
        raise TypeError(type(inputs).__name__)
    key = work.settings.build.key_of(RecordVersion.parse(inputs.record_version).release)
    if inputs.record_key != key:
        raise Refused(
            f"record_key {inputs.record_key!r} is not this environment's key of {inputs.record_version}, {key!r}",
            hint="change build.record_key or build.stream_record_key in config/pipeline.yml, or the input",
        )
    return inputs
