"""Which site a module works at, and which state slot is that site's."""

from collections.abc import Collection
from difflib import get_close_matches

from hyops_assets.cli.modules.work import Work
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.settings.pipeline import NoSuchSite, Settings
from hyops_assets.settings.sites import default_site


def chosen_site(inputs: ModuleInputs, settings: Settings, instance: str | None) -> str:
    """Return the site that the inputs name, else the one whose slot was asked for, else the default one.

    Raises:
        NoSuchSite: there is no such site, or none at all.
    """
    sites = settings.sites.of(inputs.cloud)
    site = _named(inputs) or (instance if instance in sites else None) or default_site(sites)
    if site is None or site not in sites:
        raise NoSuchSite(inputs.cloud, site or "", sites)
    return site


class WhichSite(Refused):
    """A slot was asked for by a name that leaves open, or contradicts, at which site its seed is to be."""


def require_site(work: Work) -> None:
    """See that it is certain at which site a run works; where neither a site nor a slot is named, nothing is asked.

    Raises:
        NoSuchSite: the inputs name a site that is not configured; those that are there are listed.
        WhichSite: the slot is another site's, or may be a mistyped one's.
    """
    sites, named = work.settings.sites.of(work.inputs.cloud), _named(work.inputs)
    if named and named not in sites:
        raise NoSuchSite(work.inputs.cloud, named, sites)
    if not work.another_slot or work.ref.instance is None:
        return
    slot = work.ref.instance
    if slot in sites and named not in ("", slot):
        raise WhichSite(
            f"the state instance {slot} is the slot of site {slot}, and the inputs name site {named}",
            hint=f"leave --state-instance out for {named}, or site out of the inputs for {slot}",
        )
    if slot not in sites and not named and _may_be_a_site(slot, sites):
        known = ", ".join(sorted(sites))
        raise WhichSite(
            f"no {work.inputs.cloud} site {slot!r} is configured (configured: {known})",
            hint=f"name a site: --state-instance <site>; for a slot called {slot}, add `site: <site>` to the inputs",
        )


def _may_be_a_site(slot: str, sites: Collection[str]) -> bool:
    """Say whether a slot's name may be a mistyped site's: there are several sites, or it is nearly the one's."""
    return len(sites) > 1 or bool(get_close_matches(slot, list(sites)))


def slot_of(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str | None:
    """Return the site's own state instance: None (`latest.json`) for the default site, else the site's name."""
    sites = settings.sites.of(inputs.cloud)
    site = _named(inputs) or (asked if asked in sites else "")
    return None if not site or site == default_site(sites) else site


def _named(inputs: ModuleInputs) -> str:
    """Return the site that is named; inputs of a module that works at no site have no such field."""
    return str(getattr(inputs, "site", ""))
