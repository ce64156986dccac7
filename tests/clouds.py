"""The two clouds that tests speak of by name; the product knows them by the registry's rows alone."""

from hyops_assets.seeds.partitions import cloud_named

PROXMOX, HETZNER = cloud_named("proxmox"), cloud_named("hetzner")

proxmox_seed = PROXMOX.seed
hetzner_seed = HETZNER.seed
