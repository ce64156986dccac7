"""Hetzner Cloud: writing a record's disk to a snapshot of a project, once.

Hetzner imports no images: a server is created, booted into its rescue system, its disk written over SSH, and a
snapshot taken of it. The server is paid for while it exists, so nothing here leaves one behind.
"""
