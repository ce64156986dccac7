"""`platform/onprem/vyos-edge` and `org/hetzner/vyos-edge-foundation`: validated and planned, not applied here yet."""

from hyops_assets.cli.modules.work import Done, Intended, Work
from hyops_assets.contract.edges import HetznerEdgesInputs, OnpremEdgeInputs
from hyops_assets.contract.errors import Refused


class NotAppliedHere(Refused):
    """A module whose inputs are validated here and whose asset does not exist yet."""


def plan_onprem(work: Work) -> list[Intended]:
    """Say which template would be cloned, into which machines."""
    inputs = work.inputs
    if not isinstance(inputs, OnpremEdgeInputs):
        raise TypeError(type(inputs).__name__)
    machines = [Intended(name, "clone", f"from VMID {inputs.template_vm_id}") for name in sorted(inputs.vms)]
    return [Intended(f"VMID {inputs.template_vm_id}", "consume", inputs.template_state_ref), *machines]


def plan_hetzner(work: Work) -> list[Intended]:
    """Say which image would be started, as which servers."""
    inputs = work.inputs
    if not isinstance(inputs, HetznerEdgesInputs):
        raise TypeError(type(inputs).__name__)
    servers = [
        Intended(name, "create", f"{inputs.server_type} in {inputs.location} from image {inputs.image}")
        for name in (inputs.edge01_name, inputs.edge02_name)
    ]
    return [Intended(f"image {inputs.image}", "consume", inputs.image_state_ref), *servers]


def refuse(work: Work) -> None:
    """Refuse to apply, before anything is written.

    Raises:
        NotAppliedHere: always.
    """
    raise NotAppliedHere(
        f"{work.ref.module} is validated and planned here, and not applied yet",
        hint=f"apply it with HybridOps, which reads the same states: --root {work.place.root.path}",
    )


def apply(work: Work) -> Done:
    """Refuse, however this was reached.

    Raises:
        NotAppliedHere: always.
    """
    refuse(work)
    raise AssertionError
