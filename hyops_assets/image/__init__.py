"""Bytes: ISO, signature, disk assembly, overlay, qcow2, xz, offline inspection, boot test.

Knows files and programs; no Dagster, no cloud, no configuration file.
"""
