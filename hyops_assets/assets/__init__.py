"""The graph's assets, one file per group: short functions that say what happens, in domain words."""
