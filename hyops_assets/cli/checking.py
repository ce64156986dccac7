"""What every module's preflight looks at, besides what its row in the registry adds. Reads only."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from hyops_assets.cli.check import Check, Status
from hyops_assets.cli.modules.sites import WhichSite
from hyops_assets.cli.prepare import Prepared
from hyops_assets.contract.inputs import GCS_KEY_VARIABLES
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.pipeline import NoSuchSite


def module_checks(prepared: Prepared, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Return what a module's run needs, each looked at or tried."""
    work = prepared.work
    return [
        *runtime_checks(work.place.root),
        *required_variables(work.inputs.required_env, environ),
        *reference_checks(prepared),
        *_own_checks(prepared),
    ]


def _own_checks(prepared: Prepared) -> list[Check]:
    """Return what the module's row adds: nothing where its site is none, or where a reference leads nowhere."""
    if unclear := _unclear_site(prepared):
        return [Check.of("site", unclear)]
    return [] if prepared.resolution.unresolved else prepared.module.checks(prepared.work)


def _unclear_site(prepared: Prepared) -> NoSuchSite | WhichSite | None:
    """Return why it is not certain at which site the module works; plan and apply refuse it."""
    try:
        prepared.module.require_site(prepared.work)
    except (NoSuchSite, WhichSite) as error:
        return error
    return None


def runtime_checks(root: RuntimeRoot) -> list[Check]:
    """Return whether the runtime root can be used; one that does not exist yet can be made."""
    there = root.path
    while not there.exists() and there != there.parent:
        there = there.parent
    made = there == root.path
    usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    found = f"{root.path}" if made else f"{root.path} will be made"
    return [
        Check("runtime:root", "ok" if there.is_dir() else "fail", found if there.is_dir() else f"{there} is a file"),
        Check("runtime:meta", *_meta(root.path / "meta")),
        Check("runtime:writable", "ok" if usable else "fail", str(there) if usable else f"{there} cannot be written"),
    ]


def required_variables(names: Iterable[str], environ: Mapping[str, str]) -> list[Check]:
    """Return whether the variables are set that the inputs name. The key's file serves in place of the key."""
    checks: list[Check] = []
    for name in names:
        enough = GCS_KEY_VARIABLES if name in GCS_KEY_VARIABLES else (name,)
        found = next((one for one in enough if environ.get(one, "").strip()), None)
        checks.append(
            Check(f"env:{name}", "ok", f"{found} is set")
            if found
            else Check(f"env:{name}", "missing", f"missing required env vars: {name}; export it where hyops runs")
        )
    return checks


def reference_checks(prepared: Prepared) -> list[Check]:
    """Return whether the state references lead somewhere."""
    resolved = [
        Check(f"state:{name}", "ok", f"{state.module_ref} is ok, run {state.run_id}")
        for name, state in prepared.resolution.states.items()
    ]
    return resolved + [Check.of("state", error, "missing") for error in prepared.resolution.unresolved]


def _meta(path: Path) -> tuple[Status, str]:
    if not path.exists():
        return "ok", f"{path} will be made"
    usable = path.is_dir() and os.access(path, os.W_OK | os.X_OK)
    return ("ok", str(path)) if usable else ("fail", f"{path} cannot be written")


def warnings(prepared: Prepared, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return what an operator should know although it keeps nothing from being validated."""
    missing = [check for check in required_variables(prepared.work.inputs.required_env, environ) if not check.ok]
    unclear = _unclear_site(prepared)
    in_the_way = [*prepared.resolution.unresolved, *([unclear] if unclear else [])]
    return [
        *prepared.resolution.overruled,
        *(f"{error.message}; {error.hint}" for error in in_the_way),
        *(f"{check.name.removeprefix('env:')} is unset; apply needs it" for check in missing),
    ]
