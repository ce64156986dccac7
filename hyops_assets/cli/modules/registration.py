"""`core/onprem/vyos-template-import` and `core/hetzner/vyos-image-register`: what stands at a site becomes a state.

Read at the site, compared with what is claimed, written down; nothing is downloaded, seeded or changed there. What is
compared stands in the cloud's folder (`resources/sites/<cloud>/registration.py`).
"""

from hyops_assets.cli.modules.sites import chosen_site
from hyops_assets.cli.modules.work import Done, Intended, Work
from resources.sites.base import Registered, Registers
from resources.sites.registry import row_of


def plan(work: Work) -> list[Intended]:
    """Look at the template or snapshot, and say what would be written. Raises as `apply`."""
    found = _found(work)
    what = f"{row_of(work.inputs.cloud).noun} {found.ref}"
    return [Intended(what, "register", found.version or "of no known record")]


def apply(work: Work) -> Done:
    """Register a template or snapshot that stands at a site.

    Raises:
        HyopsError: there is none, it is not the one that is claimed, or the site cannot be asked.
    """
    found = _found(work)
    for warning in found.warnings:
        work.place.console.print(f"warning: {warning}")
    return Done({"outcome": "registered", "warnings": list(found.warnings)}, found.outputs)


def _found(work: Work) -> Registered:
    site = chosen_site(work.inputs, work.settings, work.ref.instance)
    place = row_of(work.inputs.cloud).open(work.settings).place(site)
    if not isinstance(place, Registers):
        raise TypeError(type(place).__name__)
    return place.register(work.inputs)
