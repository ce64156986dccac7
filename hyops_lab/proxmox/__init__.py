"""A stand-in for one Proxmox VE node: the API over TLS, workers, storages and disks that are real files.

Written from the behaviour of Proxmox VE 9 (pve-storage 9.1, qemu-server 9.2) and its published API schema. What
it does not know it refuses, as Proxmox does. It never pretends: a guest either boots in QEMU or does not start.
"""
