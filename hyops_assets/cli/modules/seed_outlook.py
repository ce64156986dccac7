"""What a seed would find and do at its site: for `plan` and for preflight. Reads only."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial

from filelock import FileLock

from hyops_assets.cli.check import Check
from hyops_assets.cli.modules.in_graph import options_of, seeds_by_command
from hyops_assets.cli.modules.seeds import record_version, seed_inputs, seed_site
from hyops_assets.cli.modules.work import Intended, Work
from hyops_assets.cli.modules.wrap_outlook import wrapper_checks
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import ImageSeedInputs
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.steps import timed
from hyops_assets.contract.upkeep import IsLive
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import token_of
from resources.artifacts.store import ArtifactStore
from resources.sites.registry import row_of


def plan(work: Work) -> list[Intended]:
    """Say whether the site holds the record already, or would get it.

    Raises:
        SettingsError: no such site, or none at all.
        HyopsError: the site does not tell.
    """
    site, version = seed_site(work), record_version(work)
    contract = _contract(work)
    row = row_of(work.inputs.cloud)
    what = row.word
    if contract is None:
        return [Intended(what, "seed", f"{version} at {site}, unless it is there: this host does not hold its record")]
    found = _found(work, contract)
    if found:
        return [Intended(what, "adopt", f"{version} at {site}: {found}")]
    source = contract.urls.get(row.takes) or _wrapped(work)
    return [Intended(what, "seed", f"{version} at {site} from {source}")]


def _contract(work: Work) -> Contract | None:
    return ArtifactStore(work.place.root.artifacts).find_document("published_contract", record_version(work), Contract)


def _wrapped(work: Work) -> str:
    """Say what would be done for a record without raw.xz."""
    may = isinstance(work.inputs, ImageSeedInputs) and work.inputs.seed_wrapper_public_base_url
    return f"its qcow2, wrapped here and served under {may}" if may else "nothing: it has no raw.xz, and is refused"


def checks(work: Work) -> list[Check]:
    """Return whether the site can be reached with its token, and has what a seed needs."""
    provider = work.inputs.cloud
    try:
        site = seed_site(work)
    except HyopsError as error:
        return [Check.of(f"readiness:{provider}", error)]
    variable = token_of(work.settings.sites.of(provider)[site])
    if not os.environ.get(variable, "").strip():
        return [
            Check(
                f"credentials:{provider}", "missing", f"missing required credentials: {variable} is unset; export it"
            )
        ]
    there = tried(f"readiness:{provider}/{site}", lambda: reached(work.settings, provider, site))
    wrapping = _wrapping(work, site) if there.ok else []
    return [Check(f"credentials:{provider}", "ok", f"{variable} is set"), there, *wrapping]


def _wrapping(work: Work, site: str) -> list[Check]:
    """Return whether what a record without raw.xz needs is there, where a snapshot of it has to be made."""
    inputs, contract = work.inputs, _contract(work)
    if not isinstance(inputs, ImageSeedInputs) or contract is None or "raw.xz" in contract.urls:
        return []
    if seeds_by_command(inputs) or inputs.image_ref or not inputs.seed_if_missing:
        return []
    found = tried("wrapper:purpose", lambda: _found(work, contract))
    if not found.ok:
        return [found]
    if found.detail:
        return [Check("wrapper:purpose", "ok", f"nothing is to be wrapped: {found.detail} holds the record")]
    return wrapper_checks(inputs, contract, lab=work.settings.sites.of(inputs.cloud)[site].lab)


def tried(name: str, look: Callable[[], str]) -> Check:
    """Return a check that tells what looking found, or why it failed, whatever kept it from looking."""
    try:
        with timed(name):
            return Check(name, "ok", look())
    except HyopsError as error:
        return Check.of(name, error)
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding; a client's library may raise anything
        return Check(name, "fail", f"could not be looked at: {type(error).__name__}: {' '.join(str(error).split())}")


def reached(settings: Settings, cloud: str, site: str) -> str:
    """Look whether a site answers, and whether a seed could run there; return what was seen.

    Raises:
        HyopsError: it is not so.
    """
    return row_of(cloud).open(settings).place(site).preflight()


def _found(work: Work, contract: Contract) -> str:
    """Return what the site holds of the record, as its cloud calls it; empty where a seed would make it."""
    inputs = seed_inputs(work.inputs)
    row = row_of(inputs.cloud)
    options = row.options.model_validate(options_of(inputs))
    with _runs_of(work.place.root) as is_live:
        ref = row.open(work.settings).place(seed_site(work), is_live=is_live).outlook(contract.record, options)
    return f"{row.noun} {ref}" if ref else ""


@contextmanager
def _runs_of(root: RuntimeRoot) -> Iterator[IsLive]:
    """Yield whether a run is at work, as apply knows it: None for a run that is not this environment's.

    The environment's Dagster instance is opened when a run is first asked about, and never made.
    """
    with ExitStack() as stack:

        @cache
        def ask() -> IsLive:
            if not (root.dagster_home / "dagster.yaml").is_file():
                return lambda run_id: None
            # Dagster takes seconds to load. The lock is the one of `open_instance`.
            from hyops_assets.assets.run_liveness import is_live
            from hyops_assets.dagster_gaps import instance_of

            with FileLock(root.dagster_home / ".opening.lock"):
                return partial(is_live, stack.enter_context(instance_of(root.dagster_home, {})))

        yield lambda run_id: ask()(run_id)
