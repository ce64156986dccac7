"""Proxmox VE: a client of its API, and the seeding of one record as one template per site.

Knows records, sites and templates; no Dagster outside `resource.py`.
"""
