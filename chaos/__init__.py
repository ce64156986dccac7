"""Chaos: the real run of a seed, killed by SIGKILL at every call it makes, then run again. `python -m chaos`."""
