"""Which records this environment published itself: it has nothing to register of them."""

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.references import DEFAULT_BUILD_INSTANCE, IMAGE_BUILD, StateRef
from resources.artifacts.store import ArtifactStore


class PublishedHere(Refused):
    """A record that was to be registered is this environment's own. Nothing was registered."""


def refuse_own(store: ArtifactStore, version: str) -> None:
    """Refuse a version that this environment published itself.

    Raises:
        PublishedHere: it did.
    """
    held = store.find_document("published_contract", version, Contract)
    if held is not None and not held.registered:
        own = StateRef(IMAGE_BUILD, DEFAULT_BUILD_INSTANCE)
        raise PublishedHere(
            f"this environment published {version} itself, as {held.record_url}",
            hint=f"there is nothing to register: name record_state_ref: {own} where it is to be seeded",
        )
