"""The packages whose code the tests read: a rule holds in all of them, so that no further package stands outside."""

PRODUCT = ("hyops_assets", "resources", "sensors")
"""What is installed without an extra."""
PACKAGES = (*PRODUCT, "hyops_lab")
"""All of this code but tests, benchmarks and chaos."""
