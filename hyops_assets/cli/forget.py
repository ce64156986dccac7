"""`hyops forget`: a partition that should not be there, such as a mistyped version, leaves dialogs and grids."""

from hyops_assets.cli.environment import Place
from hyops_assets.cli.instance import open_instance
from hyops_assets.seeds.forgetting import Partition, forget, references, refusal
from resources.artifacts.store import ArtifactStore
from resources.settings import load_settings
from resources.states.store import StateStore


def run_forget(place: Place, name: str, *, apply: bool, referred_to: bool) -> None:
    """List what refers to a partition, then forget it if that is asked for.

    Args:
        place: the environment.
        name: a version, or `proxmox/<site>` or `hetzner/<site>`.
        apply: forget it; otherwise what refers to it is listed.
        referred_to: forget it although documents or states refer to it.

    Raises:
        Refused: there is no such partition, or something refers to it.
    """
    partition, root = Partition.parse(name), place.root
    with open_instance(root) as instance:
        found = references(partition, instance, ArtifactStore(root.artifacts), StateStore(root), load_settings(root))
        for one in found:
            place.console.print(f"{partition}: {one.what}", soft_wrap=True)
        if not found:
            place.console.print(f"{partition}: nothing refers to it")
        if not apply:
            kept = refusal(partition, found, referred_to=referred_to)
            then = "--apply forgets it" if kept is None else f"--apply would be refused; {kept.hint}"
            place.console.print(f"plan: nothing is changed; {then}", soft_wrap=True)
            return
        forget(partition, found, instance, referred_to=referred_to)
    place.console.print(f"{partition} is forgotten; its runs stay in the event log")
