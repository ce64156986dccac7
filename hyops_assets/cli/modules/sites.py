"""Which site a module works at, and which state slot is that site's."""

from collections.abc import Mapping
from typing import Literal

from hyops_assets.settings.pipeline import NoSuchSite
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite, default_site

Sites = Mapping[str, ProxmoxSite | HetznerSite]


def chosen_site(kind: Literal["proxmox", "hetzner"], sites: Sites, named: str, instance: str | None) -> str:
    """Return the site that the input names, else the one whose slot was asked for, else the default one.

    Raises:
        NoSuchSite: there is no such site, or none at all.
    """
    site = named or (instance if instance in sites else None) or default_site(sites)
    if site is None or site not in sites:
        raise NoSuchSite(kind, site or "", sites)
    return site


def require_named(kind: Literal["proxmox", "hetzner"], sites: Sites, named: str) -> None:
    """See that the site that an input names is configured; where none is named, nothing is asked.

    Raises:
        NoSuchSite: it is not; those that are there are listed.
    """
    if named and named not in sites:
        raise NoSuchSite(kind, named, sites)


def slot_of(sites: Sites, named: str, asked: str | None) -> str | None:
    """Return a site's state instance: None (`latest.json`) for the default site, else the site's name."""
    site = named or (asked if asked in sites else "")
    return None if not site or site == default_site(sites) else site
