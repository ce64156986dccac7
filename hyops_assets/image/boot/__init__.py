"""Booting a disk in QEMU, until the guest itself proves what it runs."""
