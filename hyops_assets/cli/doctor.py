"""`hyops doctor`: whether this host can do the work, tried where looking is not enough, and what to do where not."""

import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from hyops_assets.cli import extras
from hyops_assets.cli.check import Check
from hyops_assets.cli.host_checks import accelerator_check, only_for
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.image.programs import PACKAGES, MissingProgram
from hyops_assets.image.tool_versions import tool_versions
from hyops_assets.settings.pipeline import Settings, SettingsError
from hyops_assets.settings.sites import token_of
from resources.settings import load_settings

FREE_BYTES = 12 << 30
"""A 4 GiB disk, its two variants, an ISO, the lab's copies of them, and as much again for a rebuild."""

_DISTRIBUTION = "hyops-assets"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?(?:==(?P<pin>[\w.]+))?")


def examine(root: RuntimeRoot, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Return what this host offers for the environment at `root`. Changes nothing; takes a few seconds.

    Args:
        root: runtime root; need not exist.
        environ: where the tokens of configured sites are looked for. Only whether they are set is reported.
    """
    settings, configured = configuration(root, environ)
    lab = settings is not None and settings.lab
    return [
        python_packages(metadata.requires(_DISTRIBUTION) or []),
        *host_programs(PACKAGES, lab=lab),
        uefi_firmware(),
        accelerator_check(),
        *extras.checks(lab=lab),
        free_space(root.path, FREE_BYTES),
        *configured,
    ]


def run_doctor(root: RuntimeRoot) -> int:
    """Print what was found as a table, and the lines that mend what is wrong; return the exit status."""
    from rich.table import Table
    from rich.text import Text

    from hyops_assets.cli.console import console

    out = console()
    checks = examine(root)
    table = Table("", "what", "found", box=None)
    for check in checks:
        table.add_row(Text("ok", "green") if check.ok else Text("no", "red"), check.name, check.found)
    out.print(table)
    hints = dict.fromkeys(check.hint for check in checks if check.hint and not check.ok)
    for hint in hints:
        out.print(f"next: {hint}", markup=False)
    return 1 if any(not check.ok for check in checks) else 0


def host_programs(packages: Mapping[str, str], *, lab: bool) -> list[Check]:
    """Return a check per Debian package, with the versions of its programs and the line that installs it.

    Args:
        packages: the package of each program.
        lab: whether the settings are a lab's.
    """
    programs: dict[str, list[str]] = defaultdict(list)
    for program, package in packages.items():
        programs[package].append(program)
    return [_package(package, names, lab=lab) for package, names in sorted(programs.items())]


def python_packages(requirements: Iterable[str]) -> Check:
    """Return whether the Python packages of the lock are there, those with a pin in that very version."""
    wrong: list[str] = []
    count = 0
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        # What an extra needs is looked at where the extra is used.
        if match is None or "extra ==" in requirement:
            continue
        count += 1
        try:
            version = metadata.version(match["name"])
        except metadata.PackageNotFoundError:
            wrong.append(f"{match['name']} is missing")
            continue
        if match["pin"] and version != match["pin"]:
            wrong.append(f"{match['name']} is {version}, not {match['pin']}")
    python = ".".join(str(number) for number in sys.version_info[:3])
    found = f"Python {python}, " + ("; ".join(wrong) or f"{count} packages, dagster {metadata.version('dagster')}")
    return Check("python packages", "missing" if wrong else "ok", found, "make setup" if wrong else "")


def uefi_firmware() -> Check:
    """Return whether QEMU can boot a disk under UEFI here."""
    from hyops_assets.image.boot.gate import MissingFirmware, find_uefi_firmware

    try:
        code, _ = find_uefi_firmware()
    except MissingFirmware as error:
        return Check.of("UEFI firmware", error)
    return Check("UEFI firmware", "ok", str(code))


def free_space(path: Path, needed_bytes: int) -> Check:
    """Return whether the file system under a path, which need not exist yet, has room."""
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    found = f"{free >> 30} GiB free under {there}, {needed_bytes >> 30} GiB advised"
    ok = free >= needed_bytes
    if ok:
        return Check("disk space", "ok", found)
    return Check("disk space", "fail", found, f"free some space under {there}, or choose another --root")


def configuration(root: RuntimeRoot, environ: Mapping[str, str]) -> tuple[Settings | None, list[Check]]:
    """Return the settings, None where `pipeline.yml` does not validate, and what was found of them.

    That is whether the file validates, and whether the tokens of its sites are set; a lab sets its own.
    """
    name = "pipeline.yml"
    try:
        settings = load_settings(root)
    except SettingsError as error:
        return None, [Check.of(name, error)]
    found = "it validates" if root.settings_file.exists() else "there is none: defaults hold"
    return settings, [Check(name, "ok", f"{root.settings_file}: {found}"), *_tokens(settings, environ)]


def _tokens(settings: Settings, environ: Mapping[str, str]) -> list[Check]:
    if settings.lab:
        return []
    named = {f"{cloud} site {name}": token_of(site) for cloud, name, site in settings.sites.each()}
    return [
        Check(site, "ok", f"{variable} is set")
        if environ.get(variable)
        else Check(site, "missing", f"{variable} is not set", f"export {variable}=…")
        for site, variable in sorted(named.items())
        if variable
    ]


def _package(package: str, programs: list[str], *, lab: bool) -> Check:
    hint = f"apt-get install {package}"
    try:
        versions = tool_versions(programs)
    except MissingProgram as error:
        users = dict.fromkeys(only_for(program, lab=lab) for program in programs)
        if all(users):
            return Check(package, "ok", f"{error.message}; only {', '.join(users)} needs it")
        return Check(package, "missing", error.message, hint)
    except HyopsError as error:
        return Check(package, "fail", error.message, f"{hint} --reinstall")
    return Check(package, "ok", ", ".join(f"{name} {version}" for name, version in versions.items()))
