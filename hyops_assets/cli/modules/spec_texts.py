"""What the modules' specs say in sentences: titles, and the rules that no schema tells."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hyops_assets.contract import references as known
from hyops_assets.contract.stand_in import contract
from hyops_assets.contract.state import (
    found_lineage,
    image_outputs,
    record_outputs,
    standing_image_outputs,
    standing_template_outputs,
    template_outputs,
)
from hyops_assets.settings.object_repo import ObjectRepoInputs, repository_outputs


@dataclass(frozen=True)
class SpecText:
    """What a spec says besides what the models say.

    Attributes:
        title: a heading.
        description: what applying does.
        job: the job of the graph that it runs; empty where it asks a client.
        outputs: names of what its state publishes.
        constraints: rules that no schema tells, as sentences.
        environment: variables that it reads by itself, besides `required_env`.
    """

    title: str
    description: str
    job: str
    outputs: Callable[[], Iterable[str]]
    constraints: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()


_RECORD_DECIDES = (
    "record_state_ref decides about every other input that says which record it is, on every run: those are "
    "overwritten or cleared, and one that was given is named in the output.",
    "Without record_state_ref a URL counts: with record_version and record_sha256, versioned, public, neither signed "
    "nor gs://.",
    "Only a state with status ok is consumed.",
)
_SEED_SLOT = (
    "The default site of pipeline.yml writes latest.json, every other site instances/<site>.json; only seeding the "
    "record that core/shared/vyos-image-build#vyos_default_build names moves them."
)
_REGISTER_ONLY = "For what exists already: the shared build is the default way."


def _edge_outputs(*names: str) -> Callable[[], Iterable[str]]:
    return lambda: names


SAID: Mapping[str, SpecText] = {
    known.IMAGE_BUILD: SpecText(
        "Shared VyOS image build",
        "Build one canonical VyOS record, publish it, and publish the state contract that both seeds consume.",
        "build_record",
        lambda: record_outputs(contract()),
        (
            "A published version is never built or written again: rebuild_if_exists is refused there, and the next "
            "free revision (-r2, -r3, …) is named.",
            "source_iso_url that ends in .iso needs allow_iso_build.",
            "One of source_iso_url, record_url and record_local_path; none of them builds what the feed announces.",
            "record_url needs record_sha256.",
            "repo_state_ref to org/gcp/object-repo needs required_env to list HYOPS_VYOS_GCS_SA_JSON_FILE or "
            "HYOPS_VYOS_GCS_SA_JSON.",
            "Disks built under emulation (tcg) are for debugging and not published.",
        ),
        ("HYOPS_VYOS_GCS_SA_JSON_FILE", "HYOPS_VYOS_GCS_SA_JSON"),
    ),
    known.IMAGE_ARTIFACT: SpecText(
        "Shared VyOS image artifact",
        "Register a record that others published; its files are read and verified once, nothing is published.",
        "register_record",
        lambda: record_outputs(contract()),
        (_REGISTER_ONLY, "One of record_document_url, record_url and record_variants."),
    ),
    known.TEMPLATE_SEED: SpecText(
        "VyOS template seed",
        "Bring the record of a build to a Proxmox site as a template.",
        "seed_proxmox_template",
        lambda: template_outputs(contract(), vmid=0, name="", node="", seeded=True),
        (*_RECORD_DECIDES, _SEED_SLOT),
    ),
    known.TEMPLATE_IMPORT: SpecText(
        "VyOS template import",
        "Register a template that stands on a Proxmox site; it is read and compared, nothing is changed.",
        "",
        lambda: [
            *standing_template_outputs(key="", vmid=0, name="", node="", version="", source_url=""),
            *found_lineage(version="", record_digest=None, disk_sha256=None, lab=False),
        ],
        (_REGISTER_ONLY, "The VMID exists on the site and is a template."),
    ),
    known.IMAGE_SEED: SpecText(
        "VyOS image seed",
        "Bring the record of a build to a Hetzner Cloud project as a snapshot.",
        "seed_hetzner_image",
        lambda: image_outputs(contract(), image_ref="", name="", description="", seeded=True),
        (*_RECORD_DECIDES, _SEED_SLOT),
    ),
    known.IMAGE_REGISTER: SpecText(
        "VyOS image register",
        "Register a snapshot of a Hetzner Cloud project; it is read and compared, nothing is changed.",
        "",
        lambda: [
            *standing_image_outputs(key="", image_ref="", name="", description="", version="", source_url=""),
            *found_lineage(version="", record_digest=None, disk_sha256=None, lab=False),
        ],
        (_REGISTER_ONLY, "The snapshot exists in the project and is available."),
    ),
    known.OBJECT_REPO: SpecText(
        "Object repository on Google Cloud Storage",
        "Create or adopt the bucket that records are published into, and the state that repo_state_ref resolves to.",
        "",
        lambda: repository_outputs(
            ObjectRepoInputs(project_id="hyops-dev", bucket_name="hyops-dev-vyos-records-a1"), location="EU"
        ),
        (
            "A slot's bucket is never renamed.",
            "Keys of the account that publishes are neither created nor stored.",
        ),
    ),
    known.ONPREM_EDGE: SpecText(
        "On-prem VyOS edge",
        "Routers on Proxmox VE, cloned from a seeded template. Validated and planned here; applying comes later.",
        "",
        _edge_outputs(
            "vms",
            "vm_ids",
            "vm_keys",
            "vm_names",
            "node_name",
            "ipv4_addresses",
            "ipv4_addresses_all",
            "mac_addresses_primary",
            "mac_addresses_all",
            "tags",
        ),
        (
            "template_state_ref decides about template_vm_id.",
            "User-data is a #cloud-config with vyos_config_commands or runcmd; meta-data has instance-id and "
            "local-hostname; network-data is optional and of version 1.",
            "A static first interface needs a gateway of its own network; no other interface has one.",
            "A static first interface and a static eth1 in the user-data exclude each other.",
            "Exactly one of ssh_keys_from_init and ssh_keys.",
        ),
    ),
    known.HETZNER_EDGES: SpecText(
        "Hetzner VyOS edge foundation",
        "Two routers in a Hetzner project, started from a seeded image. Validated and planned here; applying comes "
        "later.",
        "",
        _edge_outputs(
            "edge01_name",
            "edge02_name",
            "edge01_id",
            "edge02_id",
            "edge01_public_ip",
            "edge02_public_ip",
            "edge01_private_ip",
            "edge02_private_ip",
            "floating_ipv4",
            "floating_target",
            "private_network_id",
            "private_network_cidr",
            "ipsec_source_cidrs",
            "vms",
            "ipv4_configured_primary",
            "ipv4_addresses_all",
            "image",
            "image_key",
        ),
        (
            "image_state_ref decides about image.",
            "The two private addresses are different hosts of private_network_cidr.",
        ),
    ),
}
"""What each module's spec says in sentences."""
