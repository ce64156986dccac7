"""Inputs of the edges, which consume what the seeds left.

`platform/onprem/vyos-edge` and `org/hetzner/vyos-edge-foundation`. What belongs here: what an operator may ask for,
and the rules that need nothing from outside. Names and defaults are HybridOps'. `template_state_ref` and
`image_state_ref` decide which template or image is taken (`contract.resolution`).
"""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.cloud_init import (
    require_meta_data,
    require_network_data,
    require_user_data,
    static_interfaces,
)
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.names import MOST, MOST_SECONDS, Text, Words
from hyops_assets.contract.references import IMAGE_SEED, TEMPLATE_SEED, StateRef
from hyops_assets.contract.ssh_keys import PublicKey
from hyops_assets.contract.version import KEY_PATTERN

Key = Annotated[str, StringConstraints(pattern=rf"^({KEY_PATTERN.pattern})?$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A host's name: one label of RFC 1123, lower case."""
Prefix = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?)?$")]


def _reference(text: str) -> str:
    if text:
        try:
            StateRef.parse(text)
        except Refused as error:
            raise ValueError(error.message) from error
    return text


def _network(text: str) -> str:
    IPv4Network(text)
    return text


def _address(text: str) -> str:
    IPv4Address(text)
    return text


Reference = Annotated[str, AfterValidator(_reference)]
Network = Annotated[str, AfterValidator(_network)]
"""An IPv4 network without host bits, such as 10.80.0.0/24."""
Address = Annotated[str, AfterValidator(_address)]


class Readiness(Frozen):
    """How long a new machine may take until somebody can log in."""

    enabled: bool = True
    required: bool = True
    target_user: Literal["vyos"] = "vyos"
    connectivity_timeout_s: int = Field(default=5, ge=1, le=MOST_SECONDS, description="seconds per attempt")
    connectivity_wait_s: int = Field(default=300, ge=1, le=MOST_SECONDS, description="seconds in all")


class Ipv4(Frozen):
    """The address of an interface: `dhcp`, or an address with its prefix length and perhaps a gateway."""

    address: Words = "dhcp"
    gateway: Words = ""

    @model_validator(mode="after")
    def _gateway_is_reachable(self) -> Self:
        if self.address == "dhcp":
            if self.gateway:
                raise ValueError("dhcp brings its own gateway: leave gateway out")
            return self
        interface = IPv4Interface(self.address)
        if "/" not in self.address:
            message = f"{self.address} lacks its prefix length, such as {self.address}/24"
            raise ValueError(message)
        if self.gateway and IPv4Address(self.gateway) not in interface.network:
            message = f"the gateway {self.gateway} is not in {interface.network}"
            raise ValueError(message)
        return self

    @property
    def static(self) -> bool:
        """Whether the address stands here."""
        return self.address != "dhcp"


class Interface(Frozen):
    """One network card: the bridge that it is plugged into, and its address."""

    bridge: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$")]
    mac_address: Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5})?$")] = ""
    ipv4: Ipv4 = Ipv4()


class EdgeMachine(Frozen):
    """One router: its network cards, in order, and what cloud-init is given."""

    role: Words = ""
    interfaces: tuple[Interface, ...] = Field(min_length=1)
    cloud_init_user_data: Text
    cloud_init_meta_data: Text
    cloud_init_network_data: Text = ""

    @model_validator(mode="after")
    def _gateway_stands_once(self) -> Self:
        first, *others = self.interfaces
        if first.ipv4.static and not first.ipv4.gateway:
            raise ValueError("the first interface is static: it needs a gateway")
        if any(interface.ipv4.gateway for interface in others):
            raise ValueError("a gateway stands at the first interface only")
        return self

    @model_validator(mode="after")
    def _texts_configure(self) -> Self:
        commands = require_user_data(self.cloud_init_user_data)
        require_meta_data(self.cloud_init_meta_data)
        if self.cloud_init_network_data:
            require_network_data(self.cloud_init_network_data)
        static = static_interfaces(commands)
        if "eth1" in static and self.interfaces[0].ipv4.static:
            # The first card is eth0 in the guest; an address meant for it and given to eth1 leaves it unreachable.
            message = f"eth1 is given {static['eth1']} while the first interface is static: use eth0, or DHCP on eth1"
            raise ValueError(message)
        return self


class OnpremEdgeInputs(ModuleInputs):
    """`platform/onprem/vyos-edge`: routers on Proxmox VE, cloned from a seeded template."""

    name_prefix: Prefix = ""
    context_id: Prefix = ""
    vm_role: Words = "wan-edge"
    template_state_ref: Reference = TEMPLATE_SEED
    template_key: Key = "vyos-1.5"
    template_vm_id: int = Field(default=0, ge=0, le=999_999_999, description="decided by template_state_ref")
    build_image: bool = False
    cpu_cores: int = Field(default=2, ge=1, le=1024)
    memory_mb: int = Field(default=2048, ge=512, le=4 << 20)
    disk_size_gb: int = Field(default=40, ge=4, le=MOST)
    guest_agent_enabled: bool = False
    cpu_type: Words = "host"
    os_type: Literal["l26"] = "l26"
    on_boot: bool = True
    dns_domain: Words = "hybzone.local"
    dns_servers: tuple[Address, ...] = ("1.1.1.1", "8.8.8.8")
    tags: tuple[Words, ...] = ("platform", "onprem", "wan-edge", "vyos")
    require_ipam: bool = False
    allow_vm_set_replace: bool = False
    ssh_username: Literal["vyos"] = "vyos"
    ssh_keys_from_init: bool = True
    ssh_keys_init_target: Literal["proxmox"] = "proxmox"
    ssh_keys: tuple[PublicKey, ...] = ()
    post_apply_ssh_readiness: Readiness = Readiness()
    vms: dict[Name, EdgeMachine] = Field(min_length=1)

    @field_validator("build_image")
    @classmethod
    def _build_elsewhere(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic calls it
        if value:
            raise ValueError("an edge builds no image: apply core/shared/vyos-image-build, then seed its record")
        return value

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if not self.template_state_ref and not self.template_vm_id:
            raise ValueError("set template_state_ref, or template_vm_id")
        return self

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if self.ssh_keys_from_init == bool(self.ssh_keys):
            raise ValueError("keys come from ssh_keys_from_init or from ssh_keys: set exactly one")
        return self


class HetznerEdgesInputs(ModuleInputs):
    """`org/hetzner/vyos-edge-foundation`: two routers in a Hetzner project, started from a seeded image."""

    name_prefix: Prefix = ""
    context_id: Prefix = ""
    image_state_ref: Reference = IMAGE_SEED
    image_key: Key = "vyos-1.5"
    image: Words = Field(default="", description="decided by image_state_ref; counts only without it")
    foundation_state_ref: Reference = ""
    private_network_id: Annotated[str, StringConstraints(pattern=r"^[0-9]*$")] = ""
    location: Name = "ash"
    home_location: Name = "ash"
    network_zone: Literal["eu-central", "us-east", "us-west", "ap-southeast"] = "eu-central"
    server_type: Name = "cpx21"
    edge01_name: Name = "edge-01"
    edge02_name: Name = "edge-02"
    ssh_key_name: Words = Field(default="ssh-edge-wan", min_length=1)
    ssh_public_key: Literal[""] | PublicKey = ""
    firewall_name: Words = Field(default="fw-edge-wan", min_length=1)
    floating_ip_name: Words = Field(default="fip-edge-wan", min_length=1)
    floating_ip_type: Literal["ipv4"] = "ipv4"
    private_network_name: Words = Field(default="net-edge-wan", min_length=1)
    private_network_cidr: Network = "10.80.0.0/24"
    edge01_private_ip: Address = "10.80.0.11"
    edge02_private_ip: Address = "10.80.0.12"
    assign_floating_to: Literal["edge01", "edge02"] = "edge01"
    ssh_source_cidrs: tuple[Network, ...] = Field(default=("0.0.0.0/0",), min_length=1)
    ipsec_source_cidrs: tuple[Network, ...] = Field(default=("0.0.0.0/0",), min_length=1)
    labels: dict[Words, Words] = Field(default_factory=dict[str, str])

    @model_validator(mode="after")
    def _one_image(self) -> Self:
        if not self.image_state_ref and not self.image:
            raise ValueError("set image_state_ref, or image")
        return self

    @model_validator(mode="after")
    def _two_hosts_of_the_network(self) -> Self:
        network = IPv4Network(self.private_network_cidr)
        addresses = {
            "edge01_private_ip": IPv4Address(self.edge01_private_ip),
            "edge02_private_ip": IPv4Address(self.edge02_private_ip),
        }
        if len(set(addresses.values())) < len(addresses):
            raise ValueError("edge01_private_ip and edge02_private_ip are the same")
        outside = [f"{name} {address}" for name, address in addresses.items() if address not in network]
        if outside:
            message = f"not in private_network_cidr {network}: {', '.join(outside)}"
            raise ValueError(message)
        if self.edge01_name == self.edge02_name:
            raise ValueError("edge01_name and edge02_name are the same")
        return self
