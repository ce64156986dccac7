"""Whether this host may wrap a record's qcow2 for Hetzner: the three conditions of the compatibility path, each tried.

Source document, "Record shape": the host has `qemu-img`, it can be reached from outside, and it wraps on purpose.
"""

from hyops_assets.cli.check import Check
from hyops_assets.cli.host_checks import program_check
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import ImageSeedInputs

_PROGRAMS = ("qemu-img", "curl")


def wrapper_checks(inputs: ImageSeedInputs, contract: Contract, *, lab: bool) -> list[Check]:
    """Return whether a record can be wrapped here, for a record without raw.xz that its project does not hold.

    The port is listened on and probed through the public URL, for a moment; nothing is left.

    Args:
        inputs: of the seed.
        contract: of the record.
        lab: whether the site is one: addresses that are not routed will do.
    """
    base_url = inputs.seed_wrapper_public_base_url
    if not base_url or "qcow2" not in contract.urls:
        hint = "register it with its raw.xz" + (
            ", or set seed_wrapper_public_base_url where Hetzner can reach this host"
            if "qcow2" in contract.urls
            else ""
        )
        return [Check("wrapper:purpose", "missing", f"{contract.record.version} has no raw.xz; {hint}")]
    programs = [program_check(name) for name in _PROGRAMS]
    purpose = Check("wrapper:purpose", "ok", f"this host wraps its qcow2, as {base_url}")
    if any(not check.ok for check in programs):
        return [purpose, *programs]
    return [purpose, *programs, _reached(inputs, lab=lab)]


def _reached(inputs: ImageSeedInputs, *, lab: bool) -> Check:
    from resources.sites.hetzner.serving import Wrapper
    from resources.sites.hetzner.wrapping import require_wrapping

    wrapper = Wrapper(inputs.seed_wrapper_public_base_url, inputs.seed_wrapper_bind_port)
    try:
        require_wrapping(wrapper, lab=lab)
    except HyopsError as error:
        return Check.of("wrapper:reached", error)
    return Check("wrapper:reached", "ok", f"a probe of {wrapper.base_url} came to port {wrapper.port} of this host")
