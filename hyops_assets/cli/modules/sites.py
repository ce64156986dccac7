"""Which site a module works at, and which state slot is that site's."""

from hyops_assets.cli.modules.work import Work
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


def require_site(work: Work) -> None:
    """See that the site that the inputs name is configured; where none is named, nothing is asked.

    Raises:
        NoSuchSite: it is not; those that are there are listed.
    """
    sites, named = work.settings.sites.of(work.inputs.cloud), _named(work.inputs)
    if named and named not in sites:
        raise NoSuchSite(work.inputs.cloud, named, sites)


def slot_of(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str | None:
    """Return the site's own state instance: None (`latest.json`) for the default site, else the site's name."""
    sites = settings.sites.of(inputs.cloud)
    site = _named(inputs) or (asked if asked in sites else "")
    return None if not site or site == default_site(sites) else site


def _named(inputs: ModuleInputs) -> str:
    """Return the site that is named; inputs of a module that works at no site have no such field."""
    return str(getattr(inputs, "site", ""))
