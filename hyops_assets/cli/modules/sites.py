"""Which site a module works at, and which state slot is that site's."""

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
    """A slot was asked for by a name that contradicts the site, or is a site's but for a letter."""


def require_site(work: Work) -> None:
    """See that it is certain at which site a run works; where neither a site nor a slot is named, nothing is asked.

    Raises:
        NoSuchSite: the inputs name a site that is not configured; those that are there are listed.
        WhichSite: the slot is another site's, or has a site's name but for a letter.
    """
    sites, named = work.settings.sites.of(work.inputs.cloud), _named(work.inputs)
    if named and named not in sites:
        raise NoSuchSite(work.inputs.cloud, named, sites)
    if work.another_slot and work.ref.instance is not None:
        _require_site_of_slot(work, work.ref.instance, named)


def _require_site_of_slot(work: Work, slot: str, named: str) -> None:
    sites = work.settings.sites.of(work.inputs.cloud)
    default = default_site(sites)
    if slot in sites and slot != default and named not in ("", slot):
        raise WhichSite(
            f"the state instance {slot} is the slot of site {slot}, and the inputs name site {named}",
            hint=f"leave --state-instance out for {named}, or site out of the inputs for {slot}",
        )
    # Beside a site that is named a slot may have any name, and one that is written already was meant.
    if named or work.states.find(work.ref) is not None:
        return
    if slot == default:
        raise WhichSite(
            f"{slot} is the default site, whose slot is latest.json",
            hint=f"leave --state-instance out; for a slot called {slot}, add `site: {slot}` to the inputs",
        )
    for site in sites:
        if _mistyped(slot, site):
            raise WhichSite(
                f"no {work.inputs.cloud} site is called {slot}, and one is called {site}",
                hint=f"name it: --state-instance {site}; for a slot called {slot}, add `site: <site>` to the inputs",
            )


def _mistyped(text: str, name: str) -> bool:
    """Say whether a text is a name with one letter more, less or changed, or with two neighbours exchanged.

    A digit more is no slip: `main2` is a second slot of `main`. Names of two letters have too many neighbours.
    """
    if len(name) <= 2:
        return False
    if abs(len(text) - len(name)) == 1:
        longer, shorter = max(text, name, key=len), min(text, name, key=len)
        return any(longer[:at] + longer[at + 1 :] == shorter and letter.isalpha() for at, letter in enumerate(longer))
    differing = [at for at, (one, other) in enumerate(zip(text, name, strict=False)) if one != other]
    if len(text) != len(name) or len(differing) not in (1, 2):
        return False
    if len(differing) == 1:
        return text[differing[0]].isalpha()
    first, second = differing
    return second == first + 1 and text[first] == name[second] and text[second] == name[first]


def slot_of(inputs: ModuleInputs, settings: Settings, asked: str | None) -> str | None:
    """Return the site's own state instance: None (`latest.json`) for the default site, else the site's name."""
    sites = settings.sites.of(inputs.cloud)
    site = _named(inputs) or (asked if asked in sites else "")
    return None if not site or site == default_site(sites) else site


def _named(inputs: ModuleInputs) -> str:
    """Return the site that is named; inputs of a module that works at no site have no such field."""
    return str(getattr(inputs, "site", ""))
